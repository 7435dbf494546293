//! A client as PROTOCOL.md describes it, who believes nothing and checks what it gets.

use std::collections::{HashMap, HashSet, VecDeque};

use anoncam::core::io::{ChatId, FrameBytes, Time};
use serde_json::Value;

/// A channel: a shard and a link of it.
pub type Channel = (u16, u32);

/// What is on its way to a client.
pub enum Parcel {
    Server(u8, Value),
    Relayed(FrameBytes),
}

/// Who has been in which chat, as MATCHED and the new numbers of resumed chats said.
#[derive(Default)]
pub struct Truth {
    members: HashMap<u32, Vec<usize>>,
}

impl Truth {
    fn join(&mut self, chat: u32, client: usize) -> Result<(), String> {
        let members = self.members.entry(chat).or_default();
        if !members.contains(&client) {
            members.push(client);
        }
        if members.len() > 2 { Err(format!("chat {chat:08x} has the members {members:?}")) } else { Ok(()) }
    }

    fn renumber(&mut self, old: u32, new: u32) {
        let members = self.members.get(&old).cloned().unwrap_or_default();
        let known = self.members.entry(new).or_default();
        for member in members {
            if !known.contains(&member) {
                known.push(member);
            }
        }
    }

    fn are_together(&self, chat: u32, a: usize, b: usize) -> bool {
        self.members.get(&chat).is_some_and(|members| a != b && members.contains(&a) && members.contains(&b))
    }
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Client {
    pub number: usize,
    pub channel: Option<Channel>,
    /// HELLO has been said and not been answered.
    pub greeting: bool,
    /// It has said FIND or LEAVE before WELCOME came: the chat that WELCOME tells of is over already.
    left_early: bool,
    pub token: Option<String>,
    /// The token before, for the case that WELCOME is taken for lost.
    pub old_token: Option<String>,
    pub n: u64,
    pub chat: Option<u32>,
    pub stranger_away: bool,
    /// Chats that it left itself: what was on its way may still come.
    left: HashSet<u32>,
    sent: u32,
    due: u32,
    /// As the driver sees it.
    pub in_chat: bool,
    pub paused: bool,
    pub silent: bool,
    pub slow: bool,
    /// Bytes in the channel's queue, of relayed frames.
    pub queue: VecDeque<usize>,
    /// What it gets once it is no longer silent.
    pub pipe: VecDeque<Parcel>,
    /// Whether the next WELCOME has to be to the session of the token.
    pub must_resume: bool,
    /// Which life of its home shard the token is from.
    pub life: u32,
    /// WELCOME has come on this connection.
    welcomed: bool,
    /// When its last connection with a session went.
    pub lost_at: Time,
    /// It has spoken before WELCOME came: its token may be spent.
    pub strayed: bool,
    pub received: u64,
}

impl Client {
    pub fn new(number: usize) -> Self {
        Self { number, ..Self::default() }
    }

    pub fn queued(&self) -> usize {
        self.queue.iter().sum()
    }

    /// The connection is gone.
    pub fn disconnect(&mut self, now: Time) {
        if std::mem::take(&mut self.welcomed) {
            self.lost_at = now;
        }
        self.channel = None;
        (self.greeting, self.left_early) = (false, false);
        self.pipe.clear();
        self.queue.clear();
        (self.in_chat, self.paused, self.silent, self.slow) = (false, false, false, false);
    }

    /// It says FIND, LEAVE, BLOCK or REPORT: its chat is over for itself.
    pub fn leave(&mut self) {
        self.left.extend(self.chat.take());
        self.stranger_away = false;
        self.left_early = self.greeting;
        self.strayed |= self.greeting;
    }

    /// The payload of its next frame: who, the how manieth, and filling.
    pub fn write(&mut self, filling: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(8 + filling);
        payload.extend_from_slice(&(self.number as u32).to_be_bytes());
        payload.extend_from_slice(&self.sent.to_be_bytes());
        payload.resize(8 + filling, self.sent as u8);
        self.sent += 1;
        payload
    }

    /// Takes a parcel; what is wrong with it.
    pub fn take(&mut self, parcel: &Parcel, truth: &mut Truth) -> Result<(), String> {
        let taken = match parcel {
            Parcel::Server(kind, json) => self.take_server(*kind, json, truth),
            Parcel::Relayed(frame) => self.take_relayed(frame, truth),
        };
        taken.map_err(|wrong| format!("client {}: {wrong}", self.number))
    }

    fn take_relayed(&mut self, frame: &FrameBytes, truth: &Truth) -> Result<(), String> {
        let mut bytes = frame.first.to_vec();
        frame.rest.iter().for_each(|slice| bytes.extend_from_slice(slice));
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (length, chat, sender, count) = (word(0) & 0x00ff_ffff, word(4), word(8) as usize, word(12));
        if length as usize + 4 != bytes.len() || bytes[16..].iter().any(|byte| *byte != count as u8) {
            return Err("a frame was changed".to_owned());
        }
        if !truth.are_together(chat, self.number, sender) {
            return Err(format!("a frame of {sender} from chat {chat:08x}, which is not theirs together"));
        }
        if self.chat != Some(chat) {
            let late = self.left.contains(&chat);
            return if late {
                Ok(())
            } else {
                Err(format!("a frame of chat {chat:08x} while in {:08x?}", self.chat))
            };
        }
        if count != self.due {
            return Err(format!("frame {count} of chat {chat:08x} came when {} was due", self.due));
        }
        self.due += 1;
        self.received += 1;
        Ok(())
    }

    fn take_server(&mut self, kind: u8, json: &Value, truth: &mut Truth) -> Result<(), String> {
        let chat = json["chat"].as_u64().map(|chat| chat as u32);
        match kind {
            0x41 => return self.welcomed(json, truth),
            0x43 => {
                let number = chat.ok_or("no number")?;
                truth.join(number, self.number)?;
                if json["n"].as_u64() != Some(self.n) {
                    self.left.insert(number);
                    return Ok(());
                }
                if let Some(current) = self.chat {
                    return Err(format!("MATCHED while in chat {current:08x}"));
                }
                self.begin(chat);
            }
            0x44 | 0x45 | 0x48 => {
                if chat.is_some_and(|chat| self.left.contains(&chat)) {
                    // It may even have got a new number before the server heard that this client has left it.
                    if let Some(new) = json["new_chat"].as_u64() {
                        truth.join(new as u32, self.number)?;
                        self.left.insert(new as u32);
                    }
                    return Ok(());
                }
                if chat.is_none() || chat != self.chat {
                    return Err(format!("{kind:#x} of {json} while in chat {:08x?}", self.chat));
                }
                self.told(kind, json, truth);
            }
            _ => {}
        }
        Ok(())
    }

    fn told(&mut self, kind: u8, json: &Value, truth: &mut Truth) {
        match (kind, json["new_chat"].as_u64().map(|chat| chat as u32)) {
            (0x44, _) => self.chat = None,
            (0x45, Some(new)) => {
                truth.renumber(self.chat.unwrap_or_default(), new);
                self.begin(Some(new));
            }
            (0x45, None) => self.stranger_away = json["state"] == "away",
            _ => {}
        }
    }

    fn welcomed(&mut self, json: &Value, truth: &mut Truth) -> Result<(), String> {
        self.greeting = false;
        let resumed = json["resumed"] == true;
        if self.must_resume && !resumed {
            return Err("a token that is good was not taken".to_owned());
        }
        self.must_resume = false;
        self.welcomed = true;
        self.strayed &= resumed;
        self.old_token = self.token.take().filter(|_| resumed);
        self.token = json["session"].as_str().map(str::to_owned);
        let chat = json["chat"]["chat"].as_u64().map(|chat| chat as u32);
        match (chat, self.chat) {
            (Some(new), Some(old)) => truth.renumber(old, new),
            // MATCHED went to a connection that was lost.
            (Some(new), None) => truth.join(new, self.number)?,
            (None, _) => {}
        }
        self.begin(chat);
        self.stranger_away = json["chat"]["stranger"] == "away";
        if std::mem::take(&mut self.left_early) {
            self.leave();
        }
        Ok(())
    }

    fn begin(&mut self, chat: Option<u32>) {
        self.chat = chat;
        (self.sent, self.due, self.stranger_away) = (0, 0, false);
    }

    pub fn chat_id(&self) -> Option<ChatId> {
        self.chat.map(ChatId)
    }
}
