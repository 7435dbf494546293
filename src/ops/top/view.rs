//! The table itself: two snapshots and a size in, text out.

use std::fmt::Write as _;

use crate::ops::snapshot::{Pool, ShardNow, Snapshot};

/// Columns and rows of characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// What happened between two snapshots.
pub(super) struct Frame<'a> {
    now: &'a Snapshot,
    before: &'a Snapshot,
    /// Seconds between them; 0 for the first.
    seconds: f64,
}

const HEAD: &str = "shard   CPU   heap sessions   away waiting in chat opens/s pairs/s frames/s lost";

/// Rows above the shards: title, waits of both modes, sum, and empty ones.
const OTHER_ROWS: u16 = 12;

impl<'a> Frame<'a> {
    /// The difference of two snapshots of one server.
    pub fn new(before: &'a Snapshot, now: &'a Snapshot) -> Self {
        Self { now, before, seconds: now.at_us.saturating_sub(before.at_us) as f64 / 1e6 }
    }

    /// The table, no larger than `size`: shards that do not fit are counted.
    pub fn draw(&self, size: Size) -> String {
        let mut text = String::new();
        // Writing to a String does not fail, here and below.
        let _ = writeln!(text, "{}\n", self.title());
        let _ = writeln!(
            text,
            "        waiting   matched  wait p50     p99     max  pairing p50     p99     max"
        );
        for (name, pool) in ["text", "video"].iter().zip(self.now.pools) {
            let _ = writeln!(text, "{}", pool_row(name, pool));
        }
        let _ = writeln!(text, "\n{HEAD}");
        let rows = usize::from(size.rows.saturating_sub(OTHER_ROWS)).max(1);
        let all = self.now.shards.len();
        let shown = if all > rows { rows - 1 } else { all };
        let mut sum = (ShardNow::default(), ShardNow::default());
        for (number, now) in self.now.shards.iter().enumerate() {
            let before = self.before.shards.get(number).unwrap_or(now);
            if number < shown {
                let _ = writeln!(text, "{}", self.shard_row(&number.to_string(), before, now));
            }
            sum.0 += *before;
            sum.1 += *now;
        }
        if shown < all {
            let _ = writeln!(text, "  and {} more", all - shown);
        }
        let _ = writeln!(text, "{}", self.shard_row("all", &sum.0, &sum.1));
        let _ = writeln!(text, "\n{}", self.rest(&sum.0, &sum.1));
        cut(&text, size.columns)
    }

    fn title(&self) -> String {
        let now = self.now;
        let online: u64 = now.shards.iter().map(|shard| shard.channels).sum();
        let mut title =
            format!("AnonCam {}   {}   {online} of {} sessions", now.version, now.state, now.sessions_max);
        if !now.paused.is_empty() {
            let _ = write!(title, "   paused: {}", now.paused.join(", "));
        }
        title
    }

    fn shard_row(&self, name: &str, before: &ShardNow, now: &ShardNow) -> String {
        let rate = |count: fn(&ShardNow) -> u64| self.rate(count(before), count(now));
        let sent = now.packets_sent.saturating_sub(before.packets_sent);
        let lost = now.packets_lost.saturating_sub(before.packets_lost);
        let lost = if sent == 0 { 0.0 } else { 100.0 * lost as f64 / sent as f64 };
        format!(
            "{name:>5} {:4.0}% {:>6} {:8} {:6} {:7} {:7} {:>7} {:>7} {:>8} {lost:3.0}%",
            self.rate(before.cpu_us, now.cpu_us) / 1e4,
            bytes(now.heap_bytes),
            now.channels,
            now.away,
            now.waiting,
            now.in_chat,
            count(rate(|shard| shard.opened)),
            count(rate(|shard| shard.matched)),
            count(rate(|shard| shard.relayed)),
        )
    }

    /// What is worth a look when it is not 0.
    fn rest(&self, before: &ShardNow, now: &ShardNow) -> String {
        let rate = |of: fn(&ShardNow) -> u64| count(self.rate(of(before), of(now)));
        format!(
            "{} WebSockets, {} half-open, {} in buffers, {}B/s relayed, {}/s refused,\n\
             {}/s held back, {} messages/s between shards, {} panics, {} older processes\n\
             matched, waits and pairings since the start",
            now.websockets,
            now.half_open,
            bytes(now.buffered_bytes),
            rate(|shard| shard.relayed_bytes),
            rate(|shard| shard.refused),
            rate(|shard| shard.held_back),
            rate(|shard| shard.messages),
            now.panics,
            now.elders,
        )
    }

    fn rate(&self, before: u64, now: u64) -> f64 {
        if self.seconds > 0.0 { now.saturating_sub(before) as f64 / self.seconds } else { 0.0 }
    }
}

fn pool_row(name: &str, pool: Pool) -> String {
    let [wait, pairing] = [pool.wait_ms, pool.pairing_ms];
    format!(
        "{name:>5} {:9} {:>9} {:>9} {:>7} {:>7} {:>12} {:>7} {:>7}",
        pool.waiting,
        count(pool.matched as f64),
        time(wait.p50),
        time(wait.p99),
        time(wait.most),
        time(pairing.p50),
        time(pairing.p99),
        time(pairing.most),
    )
}

/// A number in at most 5 characters.
fn count(number: f64) -> String {
    scaled(number, 1_000.0, &["", "k", "M", "G", "T"])
}

/// Bytes in at most 6 characters.
fn bytes(number: u64) -> String {
    scaled(number as f64, 1_024.0, &["B", "Ki", "Mi", "Gi", "Ti"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let (mut number, mut unit) = (number, 0);
    while number >= step * 0.9995 && unit + 1 < units.len() {
        (number, unit) = (number / step, unit + 1);
    }
    let digits = usize::from(unit > 0 && number < 99.95);
    format!("{number:.digits$}{}", units[unit])
}

/// Milliseconds in at most 7 characters.
fn time(ms: f64) -> String {
    match ms {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_950.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{:.0} s", ms / 1e3),
    }
}

/// Lines as long as the screen is wide. The text is ASCII.
fn cut(text: &str, columns: u16) -> String {
    let mut all = String::with_capacity(text.len());
    for line in text.lines() {
        all.push_str(line.get(..usize::from(columns)).unwrap_or(line));
        all.push('\n');
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at_us: u64, shards: Vec<ShardNow>) -> Snapshot {
        Snapshot {
            version: "1.2.3".to_owned(),
            at_us,
            state: "open".to_owned(),
            paused: vec!["video".to_owned()],
            sessions_max: 1_000_000,
            pools: [Pool { waiting: 3, matched: 1_234_567, ..Pool::default() }, Pool::default()],
            shards,
        }
    }

    fn busy(opened: u64) -> ShardNow {
        ShardNow {
            cpu_us: opened * 200,
            heap_bytes: 512 << 20,
            channels: 1_000_000,
            waiting: 1_000,
            opened,
            relayed: 10 * opened,
            packets_sent: opened,
            packets_lost: opened / 50,
            elders: 1,
            ..ShardNow::default()
        }
    }

    #[test]
    fn rates_are_what_happened_between_two_snapshots() {
        let (before, now) = (snapshot(0, vec![busy(0)]), snapshot(2_000_000, vec![busy(5_000)]));
        let text = Frame::new(&before, &now).draw(Size { columns: 80, rows: 24 });
        let row = text.lines().find(|line| line.trim_start().starts_with("0 ")).expect("a shard");
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["0", "50%", "512Mi", "1000000", "0", "1000", "0", "2.5k", "0", "25.0k", "2%"]);
        assert!(text.starts_with("AnonCam 1.2.3   open   1000000 of 1000000 sessions   paused: video\n"));
    }

    #[test]
    fn it_fits_on_the_screen_and_says_what_does_not() {
        let many = snapshot(1_000_000, vec![busy(7); 64]);
        for (columns, rows) in [(80, 24), (200, 12), (40, 10), (1, 1)] {
            let text = Frame::new(&many, &many).draw(Size { columns, rows });
            assert!(text.lines().all(|line| line.len() <= usize::from(columns)), "{text}");
            assert!(text.lines().count() <= usize::from(rows.max(OTHER_ROWS + 2)), "{rows}:\n{text}");
        }
        let text = Frame::new(&many, &many).draw(Size { columns: 80, rows: 24 });
        assert!(text.contains("  and 53 more\n"), "{text}");
        let all = text.lines().find(|line| line.trim_start().starts_with("all ")).expect("the sum");
        assert!(
            all.contains(" 64000000 ") && text.contains("0 messages/s between shards, 0 panics, 1 older"),
            "{text}"
        );
    }

    #[test]
    fn a_row_is_80_columns_wide_at_most() {
        let now = snapshot(1_000_000, vec![busy(90_000)]);
        let before = snapshot(0, vec![ShardNow::default()]);
        let text = Frame::new(&before, &now).draw(Size { columns: u16::MAX, rows: 24 });
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!([0.0, 999.0, 999.6, 12_345.0, 4.2e9].map(count), ["0", "999", "1.0k", "12.3k", "4.2G"]);
        assert_eq!([1_023, 1_024, 150 << 20].map(bytes), ["1023B", "1.0Ki", "150Mi"]);
        assert_eq!(
            [0.0, 0.11, 12.3, 5_120.0, 3.6e6].map(time),
            ["0.00 ms", "0.11 ms", "12 ms", "5.1 s", "3600 s"]
        );
    }
}
