//! The embedded files, and which form of one a client gets.

/// One file of the page, in the forms in which it is sent.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub mime: &'static str,
    /// 128 bits of its SHA-256, base64url.
    pub hash: &'static str,
    pub plain: &'static [u8],
    /// `None` where compressing does not pay.
    pub brotli: Option<&'static [u8]>,
    pub gzip: Option<&'static [u8]>,
}

/// Every file, sorted by path; written by build.rs.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One form of a file.
pub(super) struct Form {
    pub bytes: &'static [u8],
    /// Its `Content-Encoding`.
    pub encoding: Option<&'static str>,
    /// Its `ETag`: strong, so each form has its own (RFC 9110, section 8.8.3).
    pub etag: String,
}

impl Asset {
    /// The file for a request's path: `/` is the index, and `/privacy` is privacy.html.
    pub fn find(path: &str) -> Option<&'static Self> {
        let exactly = |path: &str| ASSETS.iter().find(|asset| asset.path == path);
        if path.ends_with('/') {
            return exactly(&format!("{path}index.html"));
        }
        exactly(path).or_else(|| exactly(&format!("{path}.html")))
    }

    /// Whether it is a page, which a shared computer must not keep.
    pub fn is_page(&self) -> bool {
        self.mime.starts_with("text/html")
    }

    /// The smallest form that the client takes.
    pub fn form(&self, accept_encoding: &str) -> Form {
        let forms = [("br", "-br", self.brotli), ("gzip", "-gz", self.gzip)];
        for (encoding, mark, bytes) in forms {
            if let (Some(bytes), true) = (bytes, accepts(accept_encoding, encoding)) {
                return Form { bytes, encoding: Some(encoding), etag: format!("\"{}{mark}\"", self.hash) };
            }
        }
        Form { bytes: self.plain, encoding: None, etag: format!("\"{}\"", self.hash) }
    }
}

/// Whether an `Accept-Encoding` names `coding` with a weight above 0 (RFC 9110, section 12.5.3).
fn accepts(header: &str, coding: &str) -> bool {
    let weight_of = |name: &str| {
        header.split(',').find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next().filter(|found| found.eq_ignore_ascii_case(name))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some(weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        })
    };
    weight_of(coding).or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

/// Whether an `If-None-Match` names this tag; the comparison is the weak one (RFC 9110, section 13.1.2).
pub(super) fn matches(if_none_match: &str, etag: &str) -> bool {
    if_none_match
        .split(',')
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_takes() {
        assert!(accepts("gzip, deflate, br, zstd", "br"));
        assert!(accepts("br;q=0.5", "br") && accepts("BR", "br") && accepts("*", "br"));
        assert!(!accepts("br;q=0, gzip", "br") && !accepts("", "br") && !accepts("brotli", "br"));
        assert!(!accepts("*;q=1, br;q=0", "br"), "what is named goes before the star");
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(matches("\"a\", W/\"b\"", "\"b\"") && matches("*", "\"b\""));
        assert!(!matches("\"ab\"", "\"b\"") && !matches("", "\"b\""));
    }

    #[test]
    fn the_forms_of_a_file_unpack_to_the_same_bytes_and_have_tags_of_their_own() {
        for asset in ASSETS {
            let tags = ["br", "gzip", ""].map(|accept| asset.form(accept).etag);
            if let Some(gzip) = asset.gzip {
                assert_ne!(tags[1], tags[2]);
                // The last four bytes of a gzip member are the length of what it holds (RFC 1952, section 2.3.1).
                let length = u32::from_le_bytes(gzip[gzip.len() - 4..].try_into().expect("four bytes"));
                assert_eq!(length as usize, asset.plain.len());
            }
            assert!(asset.brotli.is_none() || tags[0] != tags[2]);
        }
    }
}
