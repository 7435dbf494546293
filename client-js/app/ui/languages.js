// The languages of the interface, by primary subtag, each by its own name. boot.js knows the same subtags.

export const LANGUAGES = Object.freeze({ en: 'English', es: 'Español', pt: 'Português', de: 'Deutsch', fr: 'Français', hi: 'हिन्दी', ar: 'العربية' });
