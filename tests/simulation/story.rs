//! What happens in the simulated world: people come, chat, go on, vanish, come back; shards crash; then all is quiet, and
//! at the end everything has to be as if nobody had ever been there.

use anoncam::core::frame::ControlKind;
use anoncam::core::shard::Shard;
use anoncam::core::token::Token;

use crate::profile::Fault;
use crate::world::World;

/// Rare paths that the stories have to walk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage {
    pub claims_lost: u64,
    pub claims_crossed: u64,
    pub resumes_racing_next: u64,
    pub both_resumed: u64,
    pub renumbered_at_once: u64,
    pub resumed_across: u64,
    pub taken_over: u64,
    pub overtaken: u64,
    pub welcomes_lost: u64,
    pub chats_broken: u64,
    pub links_broken: u64,
    pub pairs_across: u64,
    pub paused: u64,
    pub crashes: u64,
    pub frames_received: u64,
}

impl Coverage {
    pub fn add(&mut self, other: &Self) {
        for (name, to, from) in self.fields(other) {
            let _ = name;
            *to += from;
        }
    }

    fn fields<'a>(&'a mut self, other: &Self) -> [(&'static str, &'a mut u64, u64); 15] {
        [
            ("claims lost", &mut self.claims_lost, other.claims_lost),
            ("claims crossed", &mut self.claims_crossed, other.claims_crossed),
            ("resumes racing next", &mut self.resumes_racing_next, other.resumes_racing_next),
            ("both resumed", &mut self.both_resumed, other.both_resumed),
            ("renumbered at once", &mut self.renumbered_at_once, other.renumbered_at_once),
            ("resumed across", &mut self.resumed_across, other.resumed_across),
            ("taken over", &mut self.taken_over, other.taken_over),
            ("resumes overtaken", &mut self.overtaken, other.overtaken),
            ("WELCOMEs lost", &mut self.welcomes_lost, other.welcomes_lost),
            ("chats broken", &mut self.chats_broken, other.chats_broken),
            ("links broken", &mut self.links_broken, other.links_broken),
            ("pairs across", &mut self.pairs_across, other.pairs_across),
            ("senders paused", &mut self.paused, other.paused),
            ("shards crashed", &mut self.crashes, other.crashes),
            ("frames received", &mut self.frames_received, other.frames_received),
        ]
    }

    /// Paths walked fewer than `least` times.
    pub fn rare(mut self, least: u64) -> Vec<(&'static str, u64)> {
        let this = self;
        self.fields(&this)
            .into_iter()
            .map(|(name, _, count)| (name, count))
            .filter(|(_, count)| *count < least)
            .collect()
    }
}

const STEPS: usize = 400;

/// Tells one story; what went wrong, or which rare paths it took.
pub fn tell(seed: u64, fault: Option<Fault>, trace: bool) -> Result<Coverage, String> {
    let mut world = World::new(seed, fault);
    world.trace = trace;
    let profile = world.profile.clone();
    world.say(|| format!("{profile:?}"));
    let mut coverage = Coverage::default();
    for _ in 0..STEPS {
        step(&mut world, &mut coverage)?;
        world.check()?;
    }
    calm_down(&mut world)?;
    leave(&mut world)?;
    for shard in 0..world.shards.len() {
        world.count(shard);
        world.shards[shard].audit_empty().map_err(|left| format!("shard {shard} is not empty: {left}"))?;
    }
    let counts = world.counts;
    coverage.claims_lost = counts.claims_lost;
    coverage.claims_crossed = counts.claims_crossed;
    coverage.both_resumed = counts.both_resumed;
    coverage.renumbered_at_once = counts.renumbered_at_once;
    coverage.resumed_across = counts.resumed_across;
    coverage.taken_over = counts.taken_over;
    coverage.overtaken = counts.overtaken;
    coverage.chats_broken = counts.chats_broken;
    coverage.links_broken = counts.links_broken;
    coverage.pairs_across = counts.pairs_across;
    coverage.paused = counts.paused;
    coverage.frames_received = world.clients.iter().map(|client| client.received).sum();
    Ok(coverage)
}

fn step(world: &mut World, coverage: &mut Coverage) -> Result<(), String> {
    let client = world.random.below(world.clients.len() as u64) as usize;
    let state = &world.clients[client];
    if state.channel.is_none() {
        greet(world, client, coverage)?;
    } else if state.silent {
        match world.random.below(4) {
            0 => world.close(client)?,
            1 | 2 => world.hear(client)?,
            _ => {}
        }
    } else if state.paused {
        // Whoever is not read can only go, or wait until the stranger has taken something.
        if world.random.percent(10) {
            world.close(client)?;
        }
    } else if state.chat.is_some() {
        chat(world, client, coverage)?;
    } else {
        idle(world, client)?;
    }
    drain_queues(world)?;
    if world.profile.crashes && world.random.below(400) == 0 {
        coverage.crashes += 1;
        let shard = world.random.below(u64::from(world.profile.shards)) as u16;
        world.crash(shard)?;
    }
    let us = match world.random.below(100) {
        0..=39 => 0,
        40..=79 => world.random.below(3_000),
        80..=94 => world.random.below(300_000),
        95..=98 => world.random.below(6_000_000),
        _ => world.random.below(70_000_000),
    };
    world.pass(us)
}

/// Connects and says HELLO, if there is a token usually with it, now and then elsewhere or with the token before.
fn greet(world: &mut World, client: usize, coverage: &mut Coverage) -> Result<(), String> {
    let state = &world.clients[client];
    let lost_welcome = state.old_token.is_some() && world.random.percent(5);
    if lost_welcome {
        // It knows nothing of the newer token. If it has spoken since, the older one is spent.
        let state = &mut world.clients[client];
        state.token = state.old_token.take();
        state.strayed = true;
    }
    let text = world.clients[client].token.clone();
    let text = text.filter(|_| world.random.percent(85));
    let token = text.as_deref().and_then(Token::decode);
    let home = token.as_ref().map(|token| u16::from(token.shard));
    let random_shard = world.random.below(u64::from(world.profile.shards)) as u16;
    let shard = home.filter(|_| world.random.percent(60)).unwrap_or(random_shard);
    if text.is_none() {
        // It gives its session up: what it was in is no longer its own.
        let state = &mut world.clients[client];
        state.leave();
        (state.token, state.old_token) = (None, None);
    }
    coverage.welcomes_lost += u64::from(lost_welcome);
    world.open(client, shard)?;
    if world.random.below(50) == 0 {
        return world.pass(5_001_000);
    }
    world.clients[client].must_resume = text.is_some() && !lost_welcome && world.must_resume(client, shard);
    hello(world, client, text)
}

fn hello(world: &mut World, client: usize, token: Option<String>) -> Result<(), String> {
    world.clients[client].greeting = true;
    let hello =
        token.map_or_else(|| r#"{"v":1}"#.to_owned(), |token| format!(r#"{{"v":1,"resume":"{token}"}}"#));
    world.control(client, ControlKind::Hello, &hello)
}

fn idle(world: &mut World, client: usize) -> Result<(), String> {
    match world.random.below(10) {
        0 => world.close(client),
        1 => end(world, client, ControlKind::Leave, ""),
        2 => end(world, client, ControlKind::Report, r#"{"reason":"other"}"#),
        3 | 4 => rush(world),
        _ => find(world, client),
    }
}

/// Everybody who is free looks for somebody at the same moment.
fn rush(world: &mut World) -> Result<(), String> {
    for client in 0..world.clients.len() {
        let state = &world.clients[client];
        if state.channel.is_some()
            && state.chat.is_none()
            && !state.silent
            && !state.paused
            && !state.greeting
        {
            find(world, client)?;
        }
    }
    Ok(())
}

fn find(world: &mut World, client: usize) -> Result<(), String> {
    let state = &mut world.clients[client];
    if state.channel.is_none() {
        return Ok(());
    }
    state.leave();
    state.n += 1;
    let n = state.n;
    let mut wishes = String::new();
    if world.profile.picky {
        let interests = ["", r#""a""#, r#""b""#, r#""a","b""#, r#""b","c","d""#];
        let langs = ["", "", r#""en""#, r#""fr""#, r#""en","fr""#];
        let (interests, langs) = (world.random.pick(&interests), world.random.pick(&langs));
        let strict = world.random.percent(15);
        wishes = format!(r#","interests":[{interests}],"langs":[{langs}],"strict":{strict}"#);
    }
    let mode = if world.random.percent(85) { "text" } else { "video" };
    world.control(client, ControlKind::Find, &format!(r#"{{"n":{n},"mode":"{mode}"{wishes}}}"#))
}

fn chat(world: &mut World, client: usize, coverage: &mut Coverage) -> Result<(), String> {
    match world.random.below(40) {
        0..=20 => {
            for _ in 0..=world.random.below(3) {
                let filling = world.random.pick(&[0, 10, 100, 1_500, 8_000, 30_000]);
                if !world.clients[client].paused {
                    world.relay(client, filling)?;
                }
            }
            Ok(())
        }
        21 | 22 => find(world, client),
        23 => end(world, client, ControlKind::Leave, ""),
        24 if world.random.percent(30) => end(world, client, ControlKind::Block, ""),
        25 if world.random.percent(30) => end(world, client, ControlKind::Report, r#"{"reason":"spam"}"#),
        26 | 27 => world.close(client),
        28 => take_over(world, client, coverage),
        29 => both(world, client, coverage),
        30 => change_mind(world, client),
        31 | 32 => race(world, client, coverage),
        33 | 34 if world.clients[client].in_chat => {
            world.say(|| format!("client {client} is silent"));
            world.clients[client].silent = true;
            world.event(client, Shard::handle_silent)
        }
        35..=37 => {
            world.clients[client].slow = !world.clients[client].slow;
            Ok(())
        }
        38 if !world.clients[client].queue.is_empty() => world.event(client, Shard::handle_stalled),
        _ => Ok(()),
    }
}

fn end(world: &mut World, client: usize, kind: ControlKind, payload: &str) -> Result<(), String> {
    world.clients[client].leave();
    world.control(client, kind, payload)
}

/// A new connection takes the session over while the old one still lives.
fn take_over(world: &mut World, client: usize, coverage: &mut Coverage) -> Result<(), String> {
    let Some(old) = world.clients[client].channel else { return Ok(()) };
    let now = world.now;
    world.clients[client].disconnect(now);
    // The old connection goes on without its client: whatever is sent there is read by nobody.
    greet(world, client, coverage)?;
    world.pass(1_000)?;
    if world.channels.get(&old) == Some(&client) && world.clients[client].channel != Some(old) {
        world.say(|| format!("the old connection {old:?} of client {client} goes"));
        world.channels.remove(&old);
        world.drop_channel(old)?;
    }
    Ok(())
}

/// The client says HELLO on another shard than its session's, does not wait for the answer, and comes back at home.
fn change_mind(world: &mut World, client: usize) -> Result<(), String> {
    let Some(text) = world.clients[client].token.clone() else { return Ok(()) };
    let Some(token) = Token::decode(&text).filter(|_| world.profile.shards > 1) else { return Ok(()) };
    world.close(client)?;
    let others = u64::from(world.profile.shards) - 1;
    let elsewhere = (u16::from(token.shard) + 1 + world.random.below(others) as u16) % world.profile.shards;
    world.open(client, elsewhere)?;
    hello(world, client, Some(text.clone()))?;
    let us = world.random.below(world.profile.delay_us);
    world.pass(us)?;
    if world.clients[client].channel.is_none() || !world.clients[client].greeting {
        return Ok(());
    }
    world.close(client)?;
    world.open(client, u16::from(token.shard))?;
    world.clients[client].must_resume = world.must_resume(client, u16::from(token.shard));
    hello(world, client, Some(text))
}

/// The client and its stranger lose their connections and come back, at once or one after the other.
fn both(world: &mut World, client: usize, coverage: &mut Coverage) -> Result<(), String> {
    let Some(stranger) = stranger_of(world, client) else { return Ok(()) };
    world.close(client)?;
    world.close(stranger)?;
    let us = world.random.pick(&[0, 0, 100, 40_000]);
    world.pass(us)?;
    greet(world, client, coverage)?;
    greet(world, stranger, coverage)
}

/// The client resumes while its stranger goes on to the next.
fn race(world: &mut World, client: usize, coverage: &mut Coverage) -> Result<(), String> {
    let Some(stranger) = stranger_of(world, client) else { return Ok(()) };
    if world.clients[stranger].channel.is_none()
        || world.clients[stranger].silent
        || world.clients[stranger].paused
    {
        return Ok(());
    }
    world.close(client)?;
    let before = world.under_way();
    greet(world, client, coverage)?;
    coverage.resumes_racing_next += u64::from(world.under_way() > before);
    find(world, stranger)
}

/// Another client that is in the same chat.
fn stranger_of(world: &World, client: usize) -> Option<usize> {
    let chat = world.clients[client].chat?;
    world
        .clients
        .iter()
        .find(|other| other.number != client && other.chat == Some(chat))
        .map(|other| other.number)
}

/// Everybody who is not slow or silent takes what is in their queue.
fn drain_queues(world: &mut World) -> Result<(), String> {
    for client in 0..world.clients.len() {
        let state = &world.clients[client];
        if state.silent || state.queue.is_empty() {
            continue;
        }
        if !state.slow {
            world.flush(client, true)?;
        } else if world.random.percent(20) {
            world.flush(client, false)?;
        }
    }
    Ok(())
}

/// The bus is good again, and nobody does anything but wait: soon nobody waits who need not.
fn calm_down(world: &mut World) -> Result<(), String> {
    world.say(|| "calm".to_owned());
    world.profile.loss = 0;
    world.profile.reorder = 0;
    for client in 0..world.clients.len() {
        world.clients[client].slow = false;
        if world.clients[client].silent {
            world.hear(client)?;
        }
    }
    for _ in 0..40 {
        drain_queues(world)?;
        world.pass(1_000_000)?;
        world.check()?;
    }
    if world.apart() > 0 {
        return Err(format!("{} pairs who fit wait though all is calm", world.apart()));
    }
    Ok(())
}

/// Everybody goes, and after the time for coming back nothing of them is left.
fn leave(world: &mut World) -> Result<(), String> {
    world.say(|| "all leave".to_owned());
    for client in 0..world.clients.len() {
        world.close(client)?;
    }
    for _ in 0..10 {
        world.pass(9_000_000)?;
    }
    world.check()
}
