//! Field sections: any slicing gives the same fields, and a short section never unfolds without end.

use anoncam::transport::h3::qpack::{DecompressionFailed, FieldDecoder, FieldSink, Name};

use super::Input;

/// Fields as they come.
#[derive(Debug, Default, PartialEq)]
struct Fields(Vec<(Option<Name>, Vec<u8>, bool)>);

impl FieldSink for Fields {
    fn begin(&mut self, name: Name) {
        assert!(self.0.last().is_none_or(|(_, _, ended)| *ended), "a field begins after the last has ended");
        self.0.push((Some(name), Vec::new(), false));
    }
    fn value(&mut self, byte: u8) {
        self.0.last_mut().expect("a value comes after its name").1.push(byte);
    }
    fn end(&mut self) {
        self.0.last_mut().expect("an end comes after a name").2 = true;
    }
}

/// The first byte sets the slicing, the rest is the section.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let slice = usize::from(input.byte()) + 1;
    let whole = decode([input.0].into_iter());
    assert_eq!(decode(input.0.chunks(slice)), whole);
    let values: usize = whole.0.0.iter().map(|(_, value, _)| value.len()).sum();
    // The shortest Huffman code has 5 bits; the longest value of the static table is some 60 bytes.
    assert!(values <= input.0.len() * 64);
}

fn decode<'a>(slices: impl Iterator<Item = &'a [u8]>) -> (Fields, Result<(), DecompressionFailed>) {
    let (mut decoder, mut fields) = (FieldDecoder::new(), Fields::default());
    for slice in slices {
        if let Err(failed) = decoder.read(slice, &mut fields) {
            return (fields, Err(failed));
        }
    }
    let finished = decoder.finish();
    (fields, finished)
}
