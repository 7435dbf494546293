//! The Huffman code of HPACK and QPACK (RFC 7541, appendix B), decoded from any slicing of the bytes.
//!
//! Part of step 1. In: the bytes of one coded string. Out: its symbols, one by one, to whoever asked; nothing is kept.
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their symbols. So the lengths
//! say everything, and decoding is a comparison a bit with the last code of that length.

/// Bits of the code of each symbol.
#[rustfmt::skip]
const CODE_BITS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/// The longest code.
const MAX_BITS: usize = 30;

/// For each length: the first code, how many codes there are, and where their symbols begin in [`Tables::symbols`].
struct Tables {
    first: [u32; MAX_BITS + 1],
    count: [u16; MAX_BITS + 1],
    start: [u16; MAX_BITS + 1],
    /// Symbols ordered by the length of their code, then by value.
    symbols: [u8; 256],
}

static TABLES: Tables = build();

const fn build() -> Tables {
    let mut tables = Tables {
        first: [0; MAX_BITS + 1],
        count: [0; MAX_BITS + 1],
        start: [0; MAX_BITS + 1],
        symbols: [0; 256],
    };
    let (mut bits, mut code, mut place) = (1, 0_u32, 0_usize);
    while bits <= MAX_BITS {
        tables.first[bits] = code;
        tables.start[bits] = place as u16;
        let mut symbol = 0;
        while symbol < CODE_BITS.len() {
            if CODE_BITS[symbol] as usize == bits {
                tables.symbols[place] = symbol as u8;
                place += 1;
                tables.count[bits] += 1;
            }
            symbol += 1;
        }
        code = (code + tables.count[bits] as u32) << 1;
        bits += 1;
    }
    tables
}

/// The string is not one that this code can produce: a wrong padding, or the end-of-string symbol inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCode;

/// Decodes one string.
#[derive(Clone, Copy, Debug, Default)]
pub struct HuffmanDecoder {
    /// The bits of the symbol that has begun.
    code: u32,
    /// How many bits that are: at most 29 between calls.
    bits: u8,
}

impl HuffmanDecoder {
    /// Takes one byte and hands every symbol that it completes to `emit`.
    pub fn push(&mut self, byte: u8, mut emit: impl FnMut(u8)) -> Result<(), BadCode> {
        for shift in (0..8).rev() {
            self.code = self.code << 1 | u32::from(byte >> shift & 1);
            self.bits += 1;
            let bits = usize::from(self.bits);
            let offset = self.code.wrapping_sub(TABLES.first[bits]);
            if offset < u32::from(TABLES.count[bits]) {
                emit(TABLES.symbols[usize::from(TABLES.start[bits]) + offset as usize]);
                *self = Self::default();
            } else if bits == MAX_BITS {
                // Thirty ones: the end-of-string symbol, which must not appear.
                return Err(BadCode);
            }
        }
        Ok(())
    }

    /// The string ends here: what is left has to be fewer than 8 bits, all ones (RFC 7541, section 5.2).
    pub fn finish(self) -> Result<(), BadCode> {
        if self.bits < 8 && self.code == (1 << self.bits) - 1 { Ok(()) } else { Err(BadCode) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, BadCode> {
        let (mut decoder, mut out) = (HuffmanDecoder::default(), Vec::new());
        for byte in bytes {
            decoder.push(*byte, |symbol| out.push(symbol))?;
        }
        decoder.finish().map(|()| out)
    }

    /// Codes every symbol of `text`, straight from the tables.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut ones_and_zeros = String::new();
        for symbol in text {
            let bits = usize::from(CODE_BITS[usize::from(*symbol)]);
            let start = usize::from(TABLES.start[bits]);
            let place = TABLES.symbols[start..].iter().position(|other| other == symbol).unwrap();
            let code = TABLES.first[bits] as usize + place;
            ones_and_zeros.extend((0..bits).rev().map(|bit| if code >> bit & 1 == 1 { '1' } else { '0' }));
        }
        while !ones_and_zeros.len().is_multiple_of(8) {
            ones_and_zeros.push('1');
        }
        let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        ones_and_zeros.as_bytes().chunks(8).map(byte).collect()
    }

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_decode() {
        let examples: [(&[u8], &str); 5] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x64, 0x02], "302"),
            (&[0xae, 0xc3, 0x77, 0x1a, 0x4b], "private"),
        ];
        for (bytes, text) in examples {
            assert_eq!(decode(bytes).unwrap(), text.as_bytes());
            assert_eq!(encode(text.as_bytes()), bytes);
        }
    }

    #[test]
    fn every_symbol_survives_a_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn the_code_is_complete_but_for_the_end_of_string() {
        let room: u64 = CODE_BITS.iter().map(|bits| 1 << (MAX_BITS - usize::from(*bits))).sum();
        assert_eq!(room, (1 << MAX_BITS) - 1);
    }

    #[test]
    fn wrong_padding_and_the_end_of_string_are_refused() {
        assert_eq!(decode(&[0xff]), Err(BadCode), "a whole byte of padding");
        assert_eq!(decode(&[0x00]), Err(BadCode), "padding with zeros: '0' is 00000, then 000");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), Err(BadCode), "end-of-string");
    }
}
