//! The same bytes in any slicing give the same result.

use super::*;

/// One thing that a client sends: on which stream, what, and whether it is the last.
type Piece = (u64, Vec<u8>, bool);

/// A small generator, so that each seed is a case that can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// What a driver sees, with the bytes of the channel joined.
#[derive(derive_more::Debug, Default, PartialEq)]
struct Seen {
    effects: Vec<Effect>,
    #[debug("{} bytes", channel.len())]
    channel: Vec<u8>,
}

/// Sends each piece in slices of the given sizes.
fn run(pieces: &[Piece], mut slice: impl FnMut(usize) -> usize) -> Seen {
    let (mut world, mut seen) = (World::new(), Seen::default());
    for (id, bytes, last) in pieces {
        let mut rest = Bytes::copy_from_slice(bytes);
        loop {
            let size = if rest.is_empty() { 0 } else { slice(rest.len()).clamp(1, rest.len()) };
            let piece = rest.split_to(size);
            let fin = *last && rest.is_empty();
            if let Received::Channel { data, .. } = world.session.handle_stream(StreamId(*id), piece, fin) {
                seen.channel.extend_from_slice(&data);
            }
            for effect in world.effects() {
                match effect {
                    Effect::ChannelOpened { id, data, fin } => {
                        seen.channel.extend_from_slice(&data);
                        seen.effects.push(Effect::ChannelOpened { id, data: Bytes::new(), fin });
                    }
                    effect => seen.effects.push(effect),
                }
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    seen
}

fn conversations() -> Vec<Vec<Piece>> {
    let control = [control(), frame(0x21, &[7; 300]), frame(0x0d, &[3]), frame(0x07, &[1])].concat();
    let capsules =
        [capsule(0x78ae, b""), capsule(0x21, &[9; 500]), capsule(0x2843, b"\0\0\0\x02so long")].concat();
    let get = headers(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "a"),
        (":path", "/"),
        ("content-length", "6"),
    ]);
    let post = [frame(0x21, b"x"), get, data(b"abc"), frame(0x40, b""), data(b"def"), headers(&[("x", "y")])]
        .concat();
    vec![
        vec![
            (CONTROL, control.clone(), false),
            (ENCODER, vec![0x02, 0x20, 0x20], false),
            (DECODER, vec![0x03, 0x40, 0x7f, 0x80, 0x01], false),
            (CONNECT, connect(), false),
            (CHANNEL, [webtransport_stream(CONNECT), vec![5; 700]].concat(), false),
            (8, post.clone(), true),
            (CHANNEL, vec![6; 300], false),
            (CONNECT, [data(&capsules[..200]), data(&capsules[200..])].concat(), true),
        ],
        vec![
            (CONNECT, connect(), false),
            (CHANNEL, [webtransport_stream(CONNECT), b"bye".to_vec()].concat(), false),
        ],
        vec![(CONNECT, [connect(), data(&[capsules.clone(), b"more".to_vec()].concat())].concat(), false)],
        vec![(8, [post, data(b"late")].concat(), true)],
        vec![(CONTROL, [control, settings(&[])].concat(), false)],
        vec![(CONNECT, connect_with("origin", Some("https://elsewhere.example")), true)],
    ]
}

#[test]
fn any_slicing_of_the_same_bytes_gives_the_same_result() {
    for (number, pieces) in conversations().iter().enumerate() {
        let whole = run(pieces, |rest| rest);
        assert_eq!(run(pieces, |_| 1), whole, "conversation {number}, byte by byte");
        for seed in 0..200 {
            let mut dice = Dice(seed);
            assert_eq!(run(pieces, |_| 1 + dice.below(40)), whole, "conversation {number}, seed {seed}");
        }
    }
}
