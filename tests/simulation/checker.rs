//! What has to be true of all shards together, at once or within a bounded time.

use std::collections::HashMap;

use anoncam::core::audit::View;
use anoncam::core::bus::Offer;
use anoncam::core::few::Few;
use anoncam::core::interests::{Interner, Keyed};
use anoncam::core::io::{ChatId, ShardId, Time};
use anoncam::core::pairing::{PersonId, Seeker, Wants, fits};
use anoncam::core::shard::Shard;

/// Two halves on two shards agree after so long, whatever the bus lost: three heartbeats, and what is on its way.
const AGREE_MS: u64 = 16_000;
/// Two on one shard who fit are together at the next tick of a timer.
const FIT_HERE_MS: u64 = 20;

/// Since when something that must not last has lasted.
#[derive(Default)]
pub struct Checker {
    disagree: HashMap<(PersonId, ChatId, Option<ChatId>), Time>,
    apart: HashMap<(PersonId, PersonId), Time>,
}

impl Checker {
    /// Looks at everybody. `fit_ms` is how long two who fit may both wait on different shards.
    pub fn check(&mut self, now: Time, shards: &[Shard], fit_ms: u64) -> Result<(), String> {
        let views: Vec<(u16, View)> = (0..)
            .zip(shards)
            .flat_map(|(at, shard)| shard.views(now).into_iter().map(move |view| (at, view)))
            .collect();
        self.check_chats(now, &views)?;
        self.check_waiting(now, &views, fit_ms)
    }

    /// Each half of a chat between shards has another half, and only one.
    fn check_chats(&mut self, now: Time, views: &[(u16, View)]) -> Result<(), String> {
        let mut disagree = HashMap::new();
        for (shard, view) in views {
            let Some(chat) = &view.chat else { continue };
            let Some((there, bond)) = chat.across else { continue };
            let other = views.iter().find(|(at, other)| *at == there.0 && other.person == chat.stranger);
            let other_chat = other.and_then(|(_, other)| other.chat.as_ref());
            let agrees = other_chat.is_some_and(|other| {
                other.across == Some((ShardId(*shard), bond))
                    && other.stranger == view.person
                    && other.number == chat.number
            });
            if !agrees {
                // Over these numbers: between two looks one disagreement may end and another begin.
                let key = (view.person, chat.number, other_chat.map(|other| other.number));
                let since = self.disagree.get(&key).copied().unwrap_or(now);
                if now.ms_since(since) > AGREE_MS {
                    return Err(format!(
                        "half a chat for {} ms: {view:?}, the other: {other:?}",
                        now.ms_since(since)
                    ));
                }
                disagree.insert(key, since);
            }
        }
        self.disagree = disagree;
        Ok(())
    }

    /// Nobody waits for long while somebody who fits waits.
    fn check_waiting(&mut self, now: Time, views: &[(u16, View)], fit_ms: u64) -> Result<(), String> {
        let mut interner = Interner::new(Keyed(1, 1));
        let waiting: Vec<(u16, Seeker)> = views
            .iter()
            .filter_map(|(shard, view)| Some((*shard, seeker(now, view.waits.as_ref()?, &mut interner))))
            .collect();
        let mut apart = HashMap::new();
        for (at, (here, a)) in waiting.iter().enumerate() {
            for (there, b) in &waiting[at + 1..] {
                if fits(a, b, now).is_none() {
                    continue;
                }
                let key = (a.who.person, b.who.person);
                let since = self.apart.get(&key).copied().unwrap_or(now);
                let bound_ms = if here == there { FIT_HERE_MS } else { fit_ms };
                if now.ms_since(since) > bound_ms {
                    return Err(format!(
                        "two who fit have waited for {} ms: {a:?} and {b:?}",
                        now.ms_since(since)
                    ));
                }
                apart.insert(key, since);
            }
        }
        self.apart = apart;
        Ok(())
    }

    /// How many pairs wait though they fit.
    pub fn apart(&self) -> usize {
        self.apart.len()
    }
}

fn seeker(now: Time, offer: &Offer, interner: &mut Interner) -> Seeker {
    let interests = Few::sorted(offer.interests.iter().map(|text| interner.hold(text)));
    Seeker {
        who: offer.who,
        since: Time(now.0.saturating_sub(offer.waited_ms * 1_000)),
        mode: offer.mode,
        strict: offer.strict,
        claimed: false,
        wants: Wants::new(interests, Few::of(offer.langs.iter().copied())),
        known: offer.known.clone(),
    }
}
