//! The core: two shards, people who do anything in any order, and a bus that loses, delays and reorders.

use std::collections::BTreeMap;

use anoncam::core::bus::BusMessage;
use anoncam::core::counts::Counts;
use anoncam::core::frame::ControlKind;
use anoncam::core::io::{
    ChatId, CloseCode, LinkId, Mark, Output, RelayFrame, Relayed, ShardId, Time, Visitor,
};
use anoncam::core::pairing::PersonId;
use anoncam::core::reports::Accusation;
use anoncam::core::shard::{Shard, ShardConfig};
use anoncam::limits::RESUME_S;
use bytes::Bytes;

use super::Input;

const FINDS: [&str; 8] = [
    r#"{"n":1,"mode":"text"}"#,
    r#"{"n":2,"mode":"video"}"#,
    r#"{"n":3,"mode":"text","interests":["chess","jazz"]}"#,
    r#"{"n":4,"mode":"text","interests":["jazz"],"strict":true}"#,
    r#"{"n":5,"mode":"text","langs":["en"]}"#,
    r#"{"n":6,"mode":"text","interests":["chess"],"strict":true,"langs":["de","en"]}"#,
    r#"{"n":7,"mode":"nothing"}"#,
    r#"{"n":8}"#,
];

/// A channel as its driver knows it.
#[derive(Default)]
struct Channel {
    chat: u32,
    token: String,
    queued: usize,
    in_chat: bool,
    silent: bool,
}

struct World {
    shards: Vec<Shard>,
    now: Time,
    /// By shard and link: channels that are open.
    channels: BTreeMap<(u16, u32), Channel>,
    /// Tokens of channels that are gone.
    old_tokens: Vec<String>,
    bus: Vec<(ShardId, ShardId, BusMessage)>,
    /// Sessions under report.
    accused: Vec<PersonId>,
}

/// The input is a list of steps.
pub fn run(data: &[u8]) {
    counts(data);
}

/// What the shards have counted after the steps of `data`.
pub fn counts(data: &[u8]) -> Vec<Counts> {
    let mut input = Input(data);
    let mut world = World::new();
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.everybody_leaves();
    world.shards.iter().map(Shard::counts).collect()
}

impl World {
    fn new() -> Self {
        let shard = |id| {
            let config =
                ShardConfig { id: ShardId(id), shards: 2, max_sessions: 20, ..ShardConfig::default() };
            Shard::new(config, [id as u8; 32], Time(0))
        };
        Self {
            shards: vec![shard(0), shard(1)],
            now: Time(0),
            channels: BTreeMap::new(),
            old_tokens: Vec::new(),
            bus: Vec::new(),
            accused: Vec::new(),
        }
    }

    fn step(&mut self, input: &mut Input) {
        let (what, who) = (input.byte(), input.byte());
        if what < 24 {
            return self.open(u16::from(who & 1), who & 2 != 0);
        }
        let place = usize::from(who) % self.channels.len().max(1);
        let Some((&(shard, link), _)) = self.channels.iter().nth(place) else { return };
        match what {
            24..56 => self.control(shard, link, ControlKind::Hello, &self.hello(input.byte())),
            56..110 => self.control(shard, link, ControlKind::Find, FINDS[usize::from(input.byte() & 7)]),
            110..120 => self.control(shard, link, ControlKind::Leave, ""),
            120..126 => self.control(shard, link, ControlKind::Block, ""),
            126 => {
                self.shards[usize::from(shard)].handle_limited(self.now, LinkId(link), 100);
                self.outputs(shard);
            }
            127 => self.control(shard, link, ControlKind::Report, r#"{"reason":"minor","case":"K7Q-2MD"}"#),
            128..132 => self.control(shard, link, ControlKind::Report, r#"{"reason":"spam"}"#),
            132..140 => {
                let length = usize::from(input.byte());
                let payload = input.take(length);
                let kinds = [ControlKind::Hello, ControlKind::Find, ControlKind::Report];
                let kind = kinds[usize::from(what) % kinds.len()];
                self.shards[usize::from(shard)].handle_control(self.now, LinkId(link), kind, payload);
                self.outputs(shard);
            }
            140..190 => self.relay(shard, link, usize::from(input.byte()) * 64),
            190..200 => self.flush(shard, link),
            200..206 => self.close(shard, link),
            206..212 => self.event(shard, link),
            212..224 => self.pass(u64::from(input.byte()) * 20),
            224..228 => self.pass(u64::from(input.byte()) * 1_000),
            228..234 => drop(self.bus.pop()),
            234..240 => {
                let by = usize::from(!self.bus.is_empty());
                self.bus.rotate_left(by);
            }
            _ => self.deliver_all(),
        }
    }

    fn hello(&self, which: u8) -> String {
        let live = self.channels.values().map(|channel| &channel.token).filter(|token| !token.is_empty());
        let tokens: Vec<_> = live.chain(&self.old_tokens).collect();
        match tokens.get(usize::from(which)) {
            Some(token) => format!(r#"{{"v":1,"resume":"{token}"}}"#),
            None => r#"{"v":1}"#.to_owned(),
        }
    }

    fn open(&mut self, shard: u16, hello: bool) {
        let link = self.shards[usize::from(shard)].handle_open(self.now).0;
        let fresh = self.channels.insert((shard, link), Channel::default()).is_none();
        assert!(fresh, "a link's number is free before it is given out again");
        let refusal =
            (shard == 1 && link % 8 == 7).then(|| Box::new((CloseCode::TooMany, Bytes::from_static(b"{}"))));
        // Few places, so that reporters are taken for each other.
        let visitor = Visitor { mark: Mark(u64::from(link % 5)), refusal };
        self.shards[usize::from(shard)].introduce(LinkId(link), visitor);
        self.outputs(shard);
        if hello && self.channels.contains_key(&(shard, link)) {
            self.control(shard, link, ControlKind::Hello, r#"{"v":1}"#);
        }
    }

    fn control(&mut self, shard: u16, link: u32, kind: ControlKind, payload: &str) {
        self.shards[usize::from(shard)].handle_control(self.now, LinkId(link), kind, payload.as_bytes());
        self.outputs(shard);
    }

    fn relay(&mut self, shard: u16, link: u32, length: usize) {
        let chat = self.channels[&(shard, link)].chat;
        let frame = RelayFrame { chat: ChatId(chat), bytes: Bytes::from(vec![0x82; length + 8]).into() };
        let relayed = self.shards[usize::from(shard)].handle_relay(self.now, LinkId(link), frame);
        self.outputs(shard);
        self.relayed(shard, Some(link), relayed);
    }

    fn relayed(&mut self, shard: u16, from: Option<u32>, relayed: Relayed) {
        match relayed {
            Relayed::Here { to, frame } => {
                assert_ne!(Some(to.0), from, "nobody talks to themselves");
                let channel =
                    self.channels.get_mut(&(shard, to.0)).expect("frames go to channels that are open");
                channel.queued += frame.len();
            }
            Relayed::There { to, message } => self.bus.push((ShardId(shard), to, message)),
            Relayed::Dropped => {}
        }
    }

    fn flush(&mut self, shard: u16, link: u32) {
        let channel = self.channels.get_mut(&(shard, link)).expect("a channel");
        let flushed = std::mem::take(&mut channel.queued);
        if flushed > 0 {
            self.shards[usize::from(shard)].handle_flushed(self.now, LinkId(link), flushed);
            self.outputs(shard);
        }
    }

    fn close(&mut self, shard: u16, link: u32) {
        let channel = self.channels.remove(&(shard, link)).expect("a channel");
        self.old_tokens.push(channel.token);
        self.shards[usize::from(shard)].handle_closed(self.now, LinkId(link));
        self.outputs(shard);
    }

    /// Silence, a voice, or a stall, as a driver would notice them.
    fn event(&mut self, shard: u16, link: u32) {
        let channel = self.channels.get_mut(&(shard, link)).expect("a channel");
        let core = &mut self.shards[usize::from(shard)];
        if channel.silent {
            channel.silent = false;
            core.handle_heard(self.now, LinkId(link));
        } else if channel.in_chat && channel.queued == 0 {
            channel.silent = true;
            core.handle_silent(self.now, LinkId(link));
        } else {
            core.handle_stalled(self.now, LinkId(link));
        }
        self.outputs(shard);
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        for _ in 0..100_000 {
            let next = self.shards.iter_mut().filter_map(Shard::poll_timeout).min();
            let Some(at) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            for shard in 0..2_u16 {
                if self.shards[usize::from(shard)].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.shards[usize::from(shard)].handle_timeout(self.now);
                    self.outputs(shard);
                }
            }
        }
        panic!("timers that are due again and again");
    }

    fn deliver_all(&mut self) {
        for _ in 0..10_000 {
            if self.bus.is_empty() {
                return;
            }
            let (from, to, message) = self.bus.remove(0);
            let relayed = self.shards[usize::from(to.0)].handle_bus(self.now, from, message);
            self.outputs(to.0);
            self.relayed(to.0, None, relayed);
        }
        panic!("two shards that never stop talking");
    }

    fn channel(&mut self, shard: u16, link: LinkId) -> &mut Channel {
        self.channels.get_mut(&(shard, link.0)).expect("outputs name channels that are open")
    }

    fn outputs(&mut self, shard: u16) {
        while let Some(output) = self.shards[usize::from(shard)].poll_output() {
            match output {
                Output::Send { link, frame } => heard(self.channel(shard, link), &frame),
                Output::Close { link, reason, .. } => {
                    assert!(reason.len() <= 1_024 && std::str::from_utf8(&reason).is_ok());
                    let channel = self.channels.remove(&(shard, link.0)).expect("what closes is open");
                    self.old_tokens.push(channel.token);
                }
                Output::Read { link, .. } => {
                    let _ = self.channel(shard, link);
                }
                Output::InChat { link, on } => {
                    let channel = self.channel(shard, link);
                    channel.in_chat = on;
                    channel.silent &= on;
                }
                Output::Bus { to, message } => self.bus.push((ShardId(shard), to, message)),
                Output::Accused(accused) => self.accused(shard, &accused),
                Output::CaseClosed { person } => self.accused.retain(|known| *known != person),
            }
        }
    }

    /// A guard who ends every third session that is reported, and each that has to end.
    fn accused(&mut self, shard: u16, accused: &Accusation) {
        if !self.accused.contains(&accused.who.person) {
            self.accused.push(accused.who.person);
        }
        if accused.too_many || accused.who.person.0.is_multiple_of(3) {
            let reason = Bytes::from_static(b"{}");
            let core = &mut self.shards[usize::from(shard)];
            core.handle_sentence(self.now, accused.who, CloseCode::Banned, reason);
        }
    }

    fn everybody_leaves(&mut self) {
        while let Some((&(shard, link), _)) = self.channels.first_key_value() {
            self.close(shard, link);
        }
        self.deliver_all();
        for _ in 0..20 {
            self.pass(RESUME_S * 1_000 / 4);
            self.deliver_all();
        }
        assert!(self.accused.is_empty(), "every case is closed with its session");
        for shard in &self.shards {
            let counts = shard.counts();
            let waiting: u64 = counts.waiting.iter().sum();
            let left = (counts.links, counts.sessions, waiting, counts.in_chat, counts.interests);
            assert_eq!(left, (0, 0, 0, 0, 0), "all comes back");
        }
    }
}

/// What a client learns from a frame of the server.
fn heard(channel: &mut Channel, frame: &[u8]) {
    assert!(frame.len() >= 4 && frame.len() <= 4 + anoncam::limits::CONTROL_PAYLOAD_BYTES);
    let json: serde_json::Value = serde_json::from_slice(&frame[4..]).expect("the server says JSON");
    match frame[0] {
        0x41 => {
            json["session"].as_str().expect("a token").clone_into(&mut channel.token);
            channel.chat = json["chat"]["chat"].as_u64().unwrap_or(0) as u32;
        }
        0x43 => channel.chat = json["chat"].as_u64().expect("a number") as u32,
        0x45 => channel.chat = json["new_chat"].as_u64().map_or(channel.chat, |chat| chat as u32),
        _ => {}
    }
}
