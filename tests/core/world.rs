//! A world for stories about the core: shards, a bus that delivers at once, and clients who remember what they got.

use std::collections::HashMap;

use anoncam::core::bus::BusMessage;
use anoncam::core::frame::{ControlKind, TEXT, encode_relay};
use anoncam::core::io::{
    ChatId, CloseCode, FrameBytes, LinkId, Mark, Output, RelayFrame, Relayed, ShardId, Time, Visitor,
};
use anoncam::core::reports::Accusation;
use anoncam::core::shard::{Shard, ShardConfig};
use serde_json::{Value, json};

/// A channel: a shard and a link of it.
pub type Channel = (u16, u32);

/// What a channel's client has got and not yet looked at.
#[derive(Default)]
pub struct Client {
    pub frames: Vec<(u8, Value)>,
    pub relayed: Vec<FrameBytes>,
    pub closed: Option<(CloseCode, String)>,
    pub reading: Option<bool>,
    pub in_chat: bool,
}

/// Ends a session as a guard would who wants it gone at the first report that is one too many.
pub const REASON: &[u8] = b"{\"case\":\"A\"}";

pub struct World {
    pub shards: Vec<Shard>,
    pub now: Time,
    pub clients: HashMap<Channel, Client>,
    /// What shards told about reports.
    pub accusations: Vec<Accusation>,
    /// Sessions that were reported and are over.
    pub closed_cases: usize,
    bus: Vec<(ShardId, ShardId, BusMessage)>,
}

impl World {
    pub fn new(shards: u16) -> Self {
        Self::with(shards, |_| {})
    }

    pub fn with(shards: u16, change: impl Fn(&mut ShardConfig)) -> Self {
        let now = Time(1_000_000);
        let shard = |id| {
            let mut config = ShardConfig { id: ShardId(id), shards, ..ShardConfig::default() };
            change(&mut config);
            Shard::new(config, [id as u8; 32], now)
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            now,
            clients: HashMap::new(),
            accusations: Vec::new(),
            closed_cases: 0,
            bus: Vec::new(),
        }
    }

    /// A client that has said nothing yet.
    pub fn open(&mut self, shard: u16) -> Channel {
        let link = self.shards[shard as usize].handle_open(self.now);
        self.clients.insert((shard, link.0), Client::default());
        self.settle();
        (shard, link.0)
    }

    /// A client that has been welcomed, and its token.
    pub fn join(&mut self, shard: u16, resume: Option<&str>) -> (Channel, Value) {
        self.join_from(shard, 0, resume)
    }

    /// The same from somewhere.
    pub fn join_from(&mut self, shard: u16, place: u64, resume: Option<&str>) -> (Channel, Value) {
        let channel = self.open(shard);
        let visitor = Visitor { mark: Mark(place), refusal: None };
        self.shard(channel).introduce(LinkId(channel.1), visitor);
        self.say(channel, ControlKind::Hello, &json!({"v": 1, "resume": resume}));
        let welcome = self.expect(channel, 0x41);
        (channel, welcome)
    }

    /// Two strangers in a chat, and its number.
    pub fn couple(&mut self, shards: [u16; 2]) -> ([(Channel, Value); 2], ChatId) {
        let (a, b) = (self.join(shards[0], None), self.join(shards[1], None));
        self.find(a.0, 1);
        self.find(b.0, 1);
        self.wait_ms(5);
        let matched = [self.last(a.0, 0x43), self.last(b.0, 0x43)];
        assert_eq!(matched[0]["chat"], matched[1]["chat"]);
        self.clients.values_mut().for_each(|client| client.frames.clear());
        ([a, b], ChatId(matched[0]["chat"].as_u64().expect("a number") as u32))
    }

    pub fn find(&mut self, channel: Channel, n: u64) {
        self.say(channel, ControlKind::Find, &json!({"n": n, "mode": "text"}));
    }

    pub fn say(&mut self, channel: Channel, kind: ControlKind, payload: &Value) {
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        self.say_bytes(channel, kind, payload.as_bytes());
    }

    pub fn say_bytes(&mut self, channel: Channel, kind: ControlKind, payload: &[u8]) {
        let now = self.now;
        self.shard(channel).handle_control(now, LinkId(channel.1), kind, payload);
        self.settle();
    }

    /// A TEXT; whether it went anywhere.
    pub fn text(&mut self, channel: Channel, chat: ChatId, text: &[u8]) {
        let now = self.now;
        let bytes = encode_relay(TEXT, chat, text).into();
        let relayed = self.shard(channel).handle_relay(now, LinkId(channel.1), RelayFrame { chat, bytes });
        self.settle();
        self.act(channel.0, relayed);
        self.settle();
    }

    pub fn event(&mut self, channel: Channel, event: fn(&mut Shard, Time, LinkId)) {
        let now = self.now;
        event(self.shard(channel), now, LinkId(channel.1));
        self.settle();
    }

    pub fn flush(&mut self, channel: Channel, bytes: usize) {
        let now = self.now;
        self.shard(channel).handle_flushed(now, LinkId(channel.1), bytes);
        self.settle();
    }

    /// Lets time pass, in steps of the shards' own deadlines.
    pub fn wait_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            let due = (0..self.shards.len()).filter_map(|at| Some((self.shards[at].poll_timeout()?, at)));
            let Some((at, shard)) = due.min().filter(|(at, _)| *at <= end) else { break };
            self.now = at.max(self.now);
            self.shards[shard].handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// The last frame of a type, which there has to be.
    pub fn last(&self, channel: Channel, kind: u8) -> Value {
        let client = &self.clients[&channel];
        let found = client.frames.iter().rev().find(|(other, _)| *other == kind);
        found
            .unwrap_or_else(|| {
                panic!("no frame {kind:#x} in {:?}, closed {:?}", client.frames, client.closed)
            })
            .1
            .clone()
    }

    /// The only frame there is, of this type; it is taken away.
    pub fn expect(&mut self, channel: Channel, kind: u8) -> Value {
        let frames = std::mem::take(&mut self.client(channel).frames);
        let closed = &self.clients[&channel].closed;
        assert!(
            frames.len() == 1 && frames[0].0 == kind,
            "{kind:#x} expected, got {frames:?}, closed {closed:?}"
        );
        frames.into_iter().next().expect("one").1
    }

    pub fn expect_nothing(&mut self, channel: Channel) {
        assert!(self.clients[&channel].frames.is_empty(), "{:?}", self.clients[&channel].frames);
    }

    pub fn expect_closed(&self, channel: Channel, code: CloseCode) -> String {
        let closed = self.clients[&channel].closed.clone();
        let (got, reason) = closed.expect("closed");
        assert_eq!(got, code, "{reason}");
        reason
    }

    pub fn client(&mut self, channel: Channel) -> &mut Client {
        self.clients.entry(channel).or_default()
    }

    /// The relayed bytes that came, without header and chat number.
    pub fn texts(&mut self, channel: Channel) -> Vec<Vec<u8>> {
        let relayed = std::mem::take(&mut self.client(channel).relayed);
        relayed
            .into_iter()
            .map(|frame| [frame.first].into_iter().chain(frame.rest).flatten().skip(8).collect())
            .collect()
    }

    pub fn shard(&mut self, channel: Channel) -> &mut Shard {
        &mut self.shards[channel.0 as usize]
    }

    /// Does what the shards say until they say nothing more.
    pub fn settle(&mut self) {
        loop {
            for at in 0..self.shards.len() {
                while let Some(output) = self.shards[at].poll_output() {
                    self.output(at as u16, output);
                }
            }
            if self.bus.is_empty() {
                return;
            }
            for (from, to, message) in std::mem::take(&mut self.bus) {
                let (from, to) = self.route(from, to);
                let relayed = self.shards[to as usize].handle_bus(self.now, from, message);
                while let Some(output) = self.shards[to as usize].poll_output() {
                    self.output(to, output);
                }
                self.act(to, relayed);
            }
        }
    }

    /// Time passes, this shard does what is due, and what it tells other shards is held back.
    pub fn alone_ms(&mut self, shard: u16, ms: u64) -> Vec<(ShardId, BusMessage)> {
        self.now = self.now.plus_ms(ms);
        self.shards[shard as usize].handle_timeout(self.now);
        self.held_back(shard)
    }

    /// Does what a shard says, but for what it tells other shards.
    pub fn held_back(&mut self, shard: u16) -> Vec<(ShardId, BusMessage)> {
        let before = std::mem::take(&mut self.bus);
        while let Some(output) = self.shards[shard as usize].poll_output() {
            self.output(shard, output);
        }
        let held = std::mem::replace(&mut self.bus, before);
        held.into_iter().map(|(_, to, message)| (to, message)).collect()
    }

    /// What was held back arrives.
    pub fn deliver(&mut self, from: u16, messages: Vec<(ShardId, BusMessage)>) {
        self.bus.extend(messages.into_iter().map(|(to, message)| (ShardId(from), to, message)));
        self.settle();
    }

    /// How the receiver calls the sender, and its place in this world. The shards of a newer process stand behind those of the
    /// one before.
    fn route(&self, from: ShardId, to: ShardId) -> (ShardId, u16) {
        let (_, shards, generation) = self.shards[usize::from(from.0)].place();
        let receiver = generation.wrapping_add(to.ahead());
        let name = ShardId::of_process(generation.wrapping_sub(receiver), (from.0 % shards) as u8);
        (name, u16::from(receiver) * shards + u16::from(to.index()))
    }

    /// A newer process takes over; the number of its first shard.
    pub fn upgrade(&mut self) -> u16 {
        let (now, first) = (self.now, self.shards.len() as u16);
        let (_, shards, _) = self.shards[0].place();
        let generation = (first / shards) as u8;
        for index in 0..shards {
            let config = ShardConfig { id: ShardId(index), shards, generation, ..ShardConfig::default() };
            let mut shard = Shard::new(config, [(first + index) as u8; 32], now);
            let elders = (1..=generation).map(|behind| ShardId::of_process(behind.wrapping_neg(), 0));
            shard.set_elders(elders.collect());
            self.shards.push(shard);
        }
        for shard in &mut self.shards[usize::from(first - shards)..usize::from(first)] {
            shard.begin_move(now, 60_000);
        }
        self.settle();
        first
    }

    fn act(&mut self, shard: u16, relayed: Relayed) {
        match relayed {
            Relayed::Here { to, frame } => self.client((shard, to.0)).relayed.push(frame),
            Relayed::There { to, message } => self.bus.push((ShardId(shard), to, message)),
            Relayed::Dropped => {}
        }
    }

    fn output(&mut self, shard: u16, output: Output) {
        match output {
            Output::Send { link, frame } => {
                let length = u32::from_be_bytes([0, frame[1], frame[2], frame[3]]) as usize;
                assert_eq!(frame.len(), 4 + length);
                let json = serde_json::from_slice(&frame[4..]).expect("JSON");
                self.client((shard, link.0)).frames.push((frame[0], json));
            }
            Output::Close { link, code, reason } => {
                let reason = String::from_utf8(reason.to_vec()).expect("words");
                self.client((shard, link.0)).closed = Some((code, reason));
            }
            Output::Read { link, on } => self.client((shard, link.0)).reading = Some(on),
            Output::InChat { link, on } => self.client((shard, link.0)).in_chat = on,
            Output::Accused(accusation) => {
                if accusation.too_many {
                    let reason = bytes::Bytes::from_static(REASON);
                    let now = self.now;
                    self.shards[shard as usize].handle_sentence(
                        now,
                        accusation.who,
                        CloseCode::Banned,
                        reason,
                    );
                }
                self.accusations.push(*accusation);
            }
            Output::CaseClosed { .. } => self.closed_cases += 1,
            Output::Bus { to, message } => self.bus.push((ShardId(shard), to, message)),
        }
    }
}
