//! The simulated world: shards, a bus that is as bad as it is allowed to be, a driver, and time.

use std::collections::{BTreeMap, HashMap};

use anoncam::core::bus::{BusMessage, ChatBody};
use anoncam::core::counts::Counts;
use anoncam::core::frame::{ControlKind, SIGNAL, TEXT, encode_relay};
use anoncam::core::io::{CloseCode, LinkId, Output, RelayFrame, Relayed, ShardId, Time};
use anoncam::core::reports::Accusation;
use anoncam::core::shard::{Shard, ShardConfig};
use anoncam::core::token::Token;
use anoncam::limits::{HOLD_BYTES, RESUME_S, SILENCE_MS};
use bytes::Bytes;

use crate::checker::Checker;
use crate::client::{Channel, Client, Parcel, Truth};
use crate::profile::{Fault, Profile};
use crate::random::Random;

struct Letter {
    from: ShardId,
    to: ShardId,
    message: BusMessage,
}

pub struct World {
    pub random: Random,
    pub profile: Profile,
    fit_ms: u64,
    pub fault: Option<Fault>,
    pub now: Time,
    pub shards: Vec<Shard>,
    /// Restarts of each shard: tokens of an earlier life are worth nothing.
    pub lives: Vec<u32>,
    pub clients: Vec<Client>,
    pub channels: HashMap<Channel, usize>,
    pub counts: Counts,
    pub trace: bool,
    truth: Truth,
    checker: Checker,
    bus: BTreeMap<(Time, u64), Letter>,
    letters: u64,
    last_arrival: HashMap<(ShardId, ShardId), Time>,
}

type Checked = Result<(), String>;

impl World {
    pub fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut random = Random::new(seed);
        let mut profile = Profile::of(&mut random);
        if matches!(fault, Some(Fault::NeverMeet | Fault::Deaf)) {
            profile.shards = profile.shards.max(2);
        }
        let now = Time(random.below(1 << 40));
        let config = |id| ShardConfig {
            id: ShardId(id),
            shards: profile.shards,
            max_sessions: 1_000,
            limit_rates: false,
            ..ShardConfig::default()
        };
        let shards = (0..profile.shards).map(|id| Shard::new(config(id), random.seed(), now)).collect();
        let clients = (0..profile.clients).map(Client::new).collect();
        Self {
            lives: vec![0; profile.shards as usize],
            random,
            fit_ms: profile.fit_ms(),
            profile,
            fault,
            now,
            shards,
            clients,
            channels: HashMap::new(),
            counts: Counts::default(),
            trace: false,
            truth: Truth::default(),
            checker: Checker::default(),
            bus: BTreeMap::new(),
            letters: 0,
            last_arrival: HashMap::new(),
        }
    }

    pub fn say(&mut self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>12} {}", self.now.0, what());
        }
    }

    /// A client says something to the server.
    pub fn control(&mut self, client: usize, kind: ControlKind, payload: &str) -> Checked {
        let Some((shard, link)) = self.clients[client].channel else { return Ok(()) };
        self.say(|| format!("client {client} on {shard}/{link}: {kind:?} {payload}"));
        self.shards[shard as usize].handle_control(self.now, LinkId(link), kind, payload.as_bytes());
        self.settle(shard)
    }

    /// A client says something to its stranger.
    pub fn relay(&mut self, client: usize, filling: usize) -> Checked {
        let (Some((shard, link)), Some(chat)) =
            (self.clients[client].channel, self.clients[client].chat_id())
        else {
            return Ok(());
        };
        let kind = if filling > 8_000 { SIGNAL } else { TEXT };
        let bytes = encode_relay(kind, chat, &self.clients[client].write(filling)).into();
        self.say(|| format!("client {client} on {shard}/{link}: {filling} bytes to {chat:08x?}"));
        let relayed =
            self.shards[shard as usize].handle_relay(self.now, LinkId(link), RelayFrame { chat, bytes });
        self.settle(shard)?;
        self.act(shard, relayed)
    }

    /// Something happens to a client's channel.
    pub fn event(&mut self, client: usize, event: fn(&mut Shard, Time, LinkId)) -> Checked {
        let Some((shard, link)) = self.clients[client].channel else { return Ok(()) };
        event(&mut self.shards[shard as usize], self.now, LinkId(link));
        self.settle(shard)
    }

    /// A new connection of a client, which takes a moment.
    pub fn open(&mut self, client: usize, shard: u16) -> Checked {
        self.pass(1)?;
        let link = self.shards[shard as usize].handle_open(self.now);
        self.say(|| format!("client {client} connects to {shard}/{}", link.0));
        self.clients[client].channel = Some((shard, link.0));
        if let Some(other) = self.channels.insert((shard, link.0), client) {
            return Err(format!("link {shard}/{} of client {other} was given out twice", link.0));
        }
        self.settle(shard)
    }

    /// Whether a client that presents its token at this shard has to get its session back.
    pub fn must_resume(&self, client: usize, shard: u16) -> bool {
        let client = &self.clients[client];
        let home = client.token.as_deref().and_then(Token::decode).map(|token| u16::from(token.shard));
        // The home may have lost a connection on another shard three heartbeats before its client noticed.
        let fresh = self.now.ms_since(client.lost_at) + SILENCE_MS + 500 < RESUME_S * 1_000;
        home == Some(shard) && fresh && !client.strayed && client.life == self.lives[shard as usize]
    }

    /// A client's connection ends, and the server notices at once.
    pub fn close(&mut self, client: usize) -> Checked {
        let Some(channel) = self.clients[client].channel else { return Ok(()) };
        self.say(|| format!("client {client} closes {channel:?}"));
        self.clients[client].disconnect(self.now);
        self.channels.remove(&channel);
        if self.fault == Some(Fault::Forget) {
            return Ok(());
        }
        self.shards[channel.0 as usize].handle_closed(self.now, LinkId(channel.1));
        self.settle(channel.0)
    }

    /// A connection that its client has given up ends.
    pub fn drop_channel(&mut self, channel: Channel) -> Checked {
        self.shards[channel.0 as usize].handle_closed(self.now, LinkId(channel.1));
        self.settle(channel.0)
    }

    /// Bytes leave a client's queue, all or the first frame.
    pub fn flush(&mut self, client: usize, all: bool) -> Checked {
        let Some((shard, link)) = self.clients[client].channel else { return Ok(()) };
        while let Some(bytes) = self.clients[client].queue.pop_front() {
            self.shards[shard as usize].handle_flushed(self.now, LinkId(link), bytes);
            self.settle(shard)?;
            if !all {
                break;
            }
        }
        Ok(())
    }

    /// A silent client is heard again and gets what was on its way.
    pub fn hear(&mut self, client: usize) -> Checked {
        self.clients[client].silent = false;
        while let Some(parcel) = self.clients[client].pipe.pop_front() {
            self.clients[client].take(&parcel, &mut self.truth)?;
        }
        self.event(client, Shard::handle_heard)
    }

    /// A shard panics and starts again.
    pub fn crash(&mut self, shard: u16) -> Checked {
        self.say(|| format!("shard {shard} crashes"));
        let clients: Vec<usize> =
            self.channels.iter().filter(|(at, _)| at.0 == shard).map(|(_, client)| *client).collect();
        for client in clients {
            self.clients[client].disconnect(self.now);
        }
        self.channels.retain(|at, _| at.0 != shard);
        let config = ShardConfig {
            id: ShardId(shard),
            shards: self.profile.shards,
            max_sessions: 1_000,
            limit_rates: false,
            ..ShardConfig::default()
        };
        self.count(shard as usize);
        self.lives[shard as usize] += 1;
        self.shards[shard as usize] = Shard::new(config, self.random.seed(), self.now);
        for other in (0..self.profile.shards).filter(|other| *other != shard) {
            self.shards[other as usize].handle_shard_lost(self.now, ShardId(shard));
            self.settle(other)?;
        }
        Ok(())
    }

    /// Adds a shard's counters to the world's.
    pub fn count(&mut self, shard: usize) {
        let counts = self.shards[shard].counts();
        let sum = &mut self.counts;
        sum.pairs_here += counts.pairs_here;
        sum.pairs_across += counts.pairs_across;
        sum.resumed += counts.resumed;
        sum.taken_over += counts.taken_over;
        sum.overtaken += counts.overtaken;
        sum.resumed_across += counts.resumed_across;
        sum.both_resumed += counts.both_resumed;
        sum.renumbered_at_once += counts.renumbered_at_once;
        sum.claims_lost += counts.claims_lost;
        sum.claims_crossed += counts.claims_crossed;
        sum.chats_broken += counts.chats_broken;
        sum.links_broken += counts.links_broken;
        sum.relayed += counts.relayed;
        sum.dropped += counts.dropped;
        sum.paused += counts.paused;
        sum.reports += counts.reports;
    }

    /// Time passes: bus messages arrive, timers fire.
    pub fn pass(&mut self, us: u64) -> Checked {
        let end = Time(self.now.0 + us);
        loop {
            let frozen = usize::from(self.fault == Some(Fault::Deaf));
            let timer = (frozen..self.shards.len())
                .filter_map(|at| Some((self.shards[at].poll_timeout()?, at)))
                .min();
            let letter = self.bus.keys().next().copied();
            let timer_at = timer.map_or(Time(u64::MAX), |(at, _)| at);
            match letter {
                Some(key) if key.0 <= timer_at && key.0 <= end => {
                    self.now = self.now.max(key.0);
                    self.arrive(key)?;
                }
                _ if timer_at <= end => {
                    self.now = self.now.max(timer_at);
                    let shard = timer.map_or(0, |(_, shard)| shard);
                    self.shards[shard].handle_timeout(self.now);
                    self.settle(shard as u16)?;
                }
                _ => break,
            }
        }
        self.now = end;
        Ok(())
    }

    fn arrive(&mut self, key: (Time, u64)) -> Checked {
        let Some(Letter { from, to, message }) = self.bus.remove(&key) else { return Ok(()) };
        self.say(|| format!("  bus {} to {}: {message:?}", from.0, to.0));
        let relayed = self.shards[to.0 as usize].handle_bus(self.now, from, message);
        self.settle(to.0)?;
        self.act(to.0, relayed)
    }

    /// Everything that has to be true after a step.
    pub fn check(&mut self) -> Checked {
        self.checker.check(self.now, &self.shards, self.fit_ms)
    }

    /// Pairs that wait though they fit, as of the last check.
    pub fn apart(&self) -> usize {
        self.checker.apart()
    }

    /// Bus messages that have not arrived.
    pub fn under_way(&self) -> usize {
        self.bus.len()
    }

    /// Does what a shard says until it says nothing more.
    fn settle(&mut self, shard: u16) -> Checked {
        while let Some(output) = self.shards[shard as usize].poll_output() {
            self.output(shard, output)?;
        }
        self.shards[shard as usize].audit().map_err(|wrong| format!("shard {shard}: {wrong}"))
    }

    fn output(&mut self, shard: u16, output: Output) -> Checked {
        match output {
            Output::Send { link, frame } => {
                let json = serde_json::from_slice(&frame[4..]).map_err(|error| error.to_string())?;
                self.say(|| format!("    to {shard}/{}: {:#x} {json}", link.0, frame[0]));
                return self.deliver((shard, link.0), Parcel::Server(frame[0], json));
            }
            Output::Close { link, code, reason } => {
                self.say(|| format!("    close {shard}/{}: {code:?} {reason:?}", link.0));
                let channel = (shard, link.0);
                if let Some(client) = self.channels.remove(&channel)
                    && self.clients[client].channel == Some(channel)
                {
                    self.clients[client].disconnect(self.now);
                }
            }
            Output::Read { link, on } => self.with((shard, link.0), |client| client.paused = !on),
            Output::InChat { link, on } => self.with((shard, link.0), |client| client.in_chat = on),
            Output::Bus { to, message } => self.post(ShardId(shard), to, message),
            // A guard who is easily annoyed: two reporters are enough.
            Output::Accused(accusation) if accusation.reports > 1 => self.sentence(&accusation),
            Output::Accused(_) | Output::CaseClosed { .. } => {}
        }
        Ok(())
    }

    /// A session is over for good: its client will not get it back, wherever it asks for it.
    fn sentence(&mut self, accusation: &Accusation) {
        let who = accusation.who;
        self.say(|| format!("    {who:?} is sentenced"));
        let is_theirs = |token: &Token| u16::from(token.shard) == who.shard.0 && token.slot == who.session.0;
        for client in &mut self.clients {
            client.strayed |= client.token.as_deref().and_then(Token::decode).as_ref().is_some_and(is_theirs);
        }
        let core = &mut self.shards[who.shard.0 as usize];
        core.handle_sentence(self.now, who, CloseCode::Banned, Bytes::from_static(b"{}"));
    }

    fn with(&mut self, channel: Channel, change: impl FnOnce(&mut Client)) {
        if let Some(client) = self.channels.get(&channel)
            && self.clients[*client].channel == Some(channel)
        {
            change(&mut self.clients[*client]);
        }
    }

    fn act(&mut self, shard: u16, relayed: Relayed) -> Checked {
        match relayed {
            Relayed::Dropped => Ok(()),
            Relayed::There { to, message } => {
                self.post(ShardId(shard), to, message);
                Ok(())
            }
            Relayed::Here { to, mut frame } => {
                let mut channel = (shard, to.0);
                match self.fault.filter(|_| self.random.percent(2)) {
                    Some(Fault::Misdeliver) => channel = self.any_channel().unwrap_or(channel),
                    Some(Fault::Repeat) => self.deliver(channel, Parcel::Relayed(frame.clone()))?,
                    Some(Fault::Lose) => return Ok(()),
                    Some(Fault::Change) => {
                        let mut bytes = frame.first.to_vec();
                        *bytes.last_mut().ok_or("an empty frame")? ^= 1;
                        frame.first = bytes.into();
                    }
                    _ => {}
                }
                self.deliver(channel, Parcel::Relayed(frame))
            }
        }
    }

    fn any_channel(&mut self) -> Option<Channel> {
        let open: Vec<Channel> = self.clients.iter().filter_map(|client| client.channel).collect();
        (!open.is_empty()).then(|| self.random.pick(&open))
    }

    /// Something for a client: at once, or once it is heard again. Nobody is there any more: nobody gets it.
    fn deliver(&mut self, channel: Channel, parcel: Parcel) -> Checked {
        let Some(&number) = self.channels.get(&channel) else { return Ok(()) };
        let client = &mut self.clients[number];
        if client.channel != Some(channel) {
            return Ok(());
        }
        if let Parcel::Relayed(frame) = &parcel {
            client.queue.push_back(frame.len());
            // Two links in a row may each hold what was on its way, and the one frame that crossed the line.
            if client.queued() > 3 * HOLD_BYTES {
                return Err(format!("{} bytes are held for client {number}", client.queued()));
            }
        }
        if client.silent {
            client.pipe.push_back(parcel);
            return Ok(());
        }
        client.take(&parcel, &mut self.truth)?;
        if let Parcel::Server(0x41, _) = parcel {
            let home =
                client.token.as_deref().and_then(Token::decode).ok_or("WELCOME without a token")?.shard;
            client.life = self.lives[usize::from(home)];
        }
        Ok(())
    }

    fn post(&mut self, from: ShardId, to: ShardId, message: BusMessage) {
        let broken = match self.fault {
            Some(Fault::NeverMeet) => matches!(message, BusMessage::Meet { .. }),
            Some(Fault::Deaf) => match &message {
                BusMessage::Chat(chat) => matches!(chat.body, ChatBody::Ended(_)),
                BusMessage::Gone { .. } => true,
                _ => false,
            },
            _ => false,
        };
        if broken || self.random.below(10_000) < self.profile.loss {
            return;
        }
        let mut at = Time(self.now.0 + self.random.below(self.profile.delay_us));
        let last = self.last_arrival.entry((from, to)).or_default();
        if self.random.below(10_000) >= self.profile.reorder {
            at = at.max(*last);
            *last = at;
        }
        self.letters += 1;
        self.bus.insert((at, self.letters), Letter { from, to, message });
    }
}
