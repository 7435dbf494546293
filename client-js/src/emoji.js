// The 64 emoji of the safety code and their names: docs/vectors/emoji.json, as a module. Loaded when a code is shown.

/** @type {readonly (readonly [emoji: string, name: string])[]} */
export const EMOJI = Object.freeze([
  ['🐶', 'dog'], ['🐱', 'cat'], ['🦁', 'lion'], ['🐴', 'horse'],
  ['🐷', 'pig'], ['🐘', 'elephant'], ['🐰', 'rabbit'], ['🐼', 'panda'],
  ['🐓', 'rooster'], ['🐧', 'penguin'], ['🦉', 'owl'], ['🐢', 'turtle'],
  ['🐟', 'fish'], ['🐙', 'octopus'], ['🦋', 'butterfly'], ['🐝', 'bee'],
  ['🌷', 'tulip'], ['🌻', 'sunflower'], ['🌲', 'tree'], ['🌵', 'cactus'],
  ['🍄', 'mushroom'], ['🍎', 'apple'], ['🍌', 'banana'], ['🍇', 'grapes'],
  ['🍓', 'strawberry'], ['🍋', 'lemon'], ['🌽', 'corn'], ['🥕', 'carrot'],
  ['🍕', 'pizza'], ['🎂', 'cake'], ['🍦', 'ice cream'], ['🧀', 'cheese'],
  ['🥚', 'egg'], ['🌍', 'globe'], ['🌙', 'moon'], ['⭐', 'star'],
  ['🔥', 'fire'], ['🌈', 'rainbow'], ['⚡', 'lightning'], ['⛄', 'snowman'],
  ['☔', 'umbrella'], ['🏠', 'house'], ['🚗', 'car'], ['🚂', 'train'],
  ['🚀', 'rocket'], ['🚲', 'bicycle'], ['⛵', 'sailboat'], ['🎈', 'balloon'],
  ['⚓', 'anchor'], ['🔑', 'key'], ['🔨', 'hammer'], ['🔔', 'bell'],
  ['💡', 'light bulb'], ['📖', 'book'], ['🧲', 'magnet'], ['⏰', 'alarm clock'],
  ['🎩', 'top hat'], ['👑', 'crown'], ['👓', 'glasses'], ['🧦', 'socks'],
  ['🎸', 'guitar'], ['🥁', 'drum'], ['⚽', 'football'], ['🎲', 'die'],
]);
