//! Steps 2 to 4 of 6: what clients say in JSON (PROTOCOL.md section 3).
//!
//! In: a control frame's payload, at most 4 KiB. Out: a checked request, or whose fault it is that there is none:
//! [`Refusal::Malformed`] ends the session with code 1, [`Refusal::OutOfRange`] is a NOTICE and the session goes on.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::interests::{Lang, normalise};
use super::pairing::Mode;
use super::reports::{CaseCode, Reason, Report};
use super::token::Token;
use crate::limits::{INTERESTS, LANGS};

/// The highest protocol version this server speaks.
pub const VERSION: u64 = 1;
/// The largest whole number that every JSON implementation keeps exactly (RFC 8259, section 6).
const LARGEST_NUMBER: u64 = (1 << 53) - 1;

/// Why a request was not taken; the words are shown to whoever wrote the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not JSON, or a value of the wrong JSON type.
    Malformed(&'static str),
    /// The right type, but not a value that means anything.
    OutOfRange(&'static str),
}

use Refusal::{Malformed, OutOfRange};

/// HELLO, checked.
#[derive(derive_more::Debug, PartialEq)]
pub struct Hello {
    /// The session to take over, if it named one that could exist.
    pub resume: Option<Token>,
    /// What it answers to a challenge: for the driver, which gave it.
    #[debug("{}", work.is_some())]
    pub work: Option<String>,
}

/// FIND, checked.
#[derive(derive_more::Debug, PartialEq, Eq)]
pub struct Find {
    /// The client's counter.
    pub n: u64,
    /// Text or video.
    pub mode: Mode,
    /// Normalised, sorted, without duplicates.
    #[debug("{} of them", interests.len())]
    pub interests: Vec<String>,
    /// Only somebody who shares an interest and a language.
    pub strict: bool,
    /// Sorted, without duplicates.
    #[debug("{} of them", langs.len())]
    pub langs: Vec<Lang>,
}

#[derive(Deserialize)]
struct RawHello<'a> {
    #[serde(borrow)]
    v: &'a RawValue,
    #[serde(borrow, default)]
    resume: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    work: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawFind<'a> {
    #[serde(borrow)]
    n: &'a RawValue,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(default)]
    interests: Option<Vec<String>>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(default)]
    langs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawReport<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow, default)]
    case: Option<&'a RawValue>,
}

impl Hello {
    /// Reads a HELLO.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let raw: RawHello = object(payload, "malformed HELLO")?;
        match whole_number(raw.v) {
            Ok(VERSION) => Ok(Self {
                resume: raw.resume.and_then(|token| Token::decode(&token)),
                work: raw.work.and_then(string),
            }),
            Ok(_) | Err(OutOfRange(_)) => Err(Malformed("unsupported protocol version")),
            Err(refusal) => Err(refusal),
        }
    }
}

impl Find {
    /// Reads a FIND.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let raw: RawFind = object(payload, "malformed FIND")?;
        let n = whole_number(raw.n)?;
        let mode = match &*raw.mode {
            "text" => Mode::Text,
            "video" => Mode::Video,
            _ => return Err(OutOfRange("unknown mode")),
        };
        let parse = |texts: Option<Vec<String>>| texts.unwrap_or_default().into_iter();
        let interests = parse(raw.interests).map(|text| normalise(&text)).collect::<Option<Vec<_>>>();
        let interests = set(interests, INTERESTS).ok_or(OutOfRange("interests out of range"))?;
        let langs = parse(raw.langs).map(|text| Lang::parse(&text)).collect::<Option<Vec<_>>>();
        let langs = set(langs, LANGS).ok_or(OutOfRange("langs out of range"))?;
        Ok(Self { n, mode, interests, strict: raw.strict.unwrap_or(false), langs })
    }
}

impl Report {
    /// Reads a REPORT.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let raw: RawReport = object(payload, "malformed REPORT")?;
        let reason = Reason::parse(&raw.reason).ok_or(OutOfRange("unknown reason"))?;
        Ok(Self { reason, case: raw.case.and_then(string).and_then(|code| CaseCode::parse(&code)) })
    }
}

/// A JSON object in valid UTF-8: serde alone would take an array for it, and look into no string that it skips.
fn object<'a, T: Deserialize<'a>>(payload: &'a [u8], wrong: &'static str) -> Result<T, Refusal> {
    let text = std::str::from_utf8(payload).map_err(|_| Malformed(wrong))?;
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return Err(Malformed(wrong));
    }
    serde_json::from_str(text).map_err(|_| Malformed(wrong))
}

/// A string; anything else counts as absent. For fields that came after the first clients, which may use their names for something else.
fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A JSON number that has to be whole and not negative, of whatever size it was written.
fn whole_number(raw: &RawValue) -> Result<u64, Refusal> {
    let text = raw.get();
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(Malformed("a number was expected"));
    }
    text.parse().ok().filter(|number| *number <= LARGEST_NUMBER).ok_or(OutOfRange("number out of range"))
}

/// Sorted and without duplicates, if there are no more than `most`.
fn set<T: Ord>(items: Option<Vec<T>>, most: usize) -> Option<Vec<T>> {
    let mut items = items?;
    items.sort_unstable();
    items.dedup();
    (items.len() <= most).then_some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(json: &str) -> Result<Find, Refusal> {
        Find::parse(json.as_bytes())
    }

    #[test]
    fn a_full_find_is_normalised() {
        let json = r#"{"n":7,"mode":"video","interests":["Film"," MUSIC","music"],"strict":true,"langs":["fr","en"],"x":[{}]}"#;
        let langs = ["en", "fr"].map(|lang| Lang::parse(lang).expect("a language")).to_vec();
        let interests = vec!["film".to_owned(), "music".to_owned()];
        assert_eq!(find(json), Ok(Find { n: 7, mode: Mode::Video, interests, strict: true, langs }));
        let escaped = find(r#" {"n":0,"mode":"te\u0078t","interests":null}"#).expect("escapes are JSON");
        assert_eq!((escaped.mode, escaped.interests.len()), (Mode::Text, 0));
    }

    #[test]
    fn whose_fault_it_is() {
        let malformed = [
            "",
            "{",
            "null",
            "[1,\"text\"]",
            "{}",
            r#"{"n":"7","mode":"text"}"#,
            r#"{"n":7,"mode":1}"#,
            r#"{"n":7}"#,
            r#"{"n":null,"mode":"text"}"#,
            r#"{"n":7,"mode":"text","interests":"a"}"#,
            r#"{"n":01,"mode":"text"}"#,
            r#"{"n":7,"mode":"text","interests":[1]}"#,
            r#"{"n":7,"mode":"text","strict":1}"#,
            r#"{"n":7,"mode":"text"} x"#,
            r#"{"n":7,"mode":"\ud800"}"#,
            r#"{"n":{},"mode":"text"}"#,
        ];
        for json in malformed {
            assert!(matches!(find(json), Err(Malformed(_))), "{json}");
        }
        let out_of_range = [
            r#"{"n":-1,"mode":"text"}"#,
            r#"{"n":1.5,"mode":"text"}"#,
            r#"{"n":1e999,"mode":"text"}"#,
            r#"{"n":9007199254740992,"mode":"text"}"#,
            r#"{"n":1,"mode":"audio"}"#,
            r#"{"n":1,"mode":"text","langs":["EN"]}"#,
            r#"{"n":1,"mode":"text","interests":[""]}"#,
            r#"{"n":1,"mode":"text","interests":["a\u0007"]}"#,
            r#"{"n":1,"mode":"text","langs":["aa","bb","cc","dd","ee","ff"]}"#,
            r#"{"n":1,"mode":"text","interests":["a","b","c","d","e","f","g","h","i","j","k"]}"#,
        ];
        for json in out_of_range {
            assert!(matches!(find(json), Err(OutOfRange(_))), "{json}");
        }
        assert!(matches!(Find::parse(b"{\"n\":1,\"mode\":\"text\",\"x\":\"\xff\"}"), Err(Malformed(_))));
    }

    #[test]
    fn hello_takes_version_one_alone_and_forgives_any_token() {
        let nothing = Hello { resume: None, work: None };
        assert_eq!(Hello::parse(br#"{"v":1}"#), Ok(nothing));
        assert_eq!(Hello::parse(br#"{"v":1,"work":5}"#), Ok(Hello { resume: None, work: None }));
        let hello = Hello::parse(br#"{"v":1,"resume":"nonsense","work":"8.13.x.y"}"#);
        assert_eq!(hello, Ok(Hello { resume: None, work: Some("8.13.x.y".to_owned()) }));
        for json in
            [r#"{"v":2}"#, r#"{"v":0}"#, r#"{"v":"1"}"#, r#"{"v":1e999}"#, "{}", r#"{"v":1,"resume":5}"#]
        {
            assert!(matches!(Hello::parse(json.as_bytes()), Err(Malformed(_))), "{json}");
        }
    }

    #[test]
    fn deep_nesting_and_long_arrays_end_in_words() {
        let deep = format!(r#"{{"n":1,"mode":"text","x":{}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
        assert!(!matches!(find(&deep), Err(OutOfRange(_))), "skipped or refused, but not a crash");
        let long = format!(r#"{{"n":1,"mode":"text","interests":[{}"a"]}}"#, "\"a\",".repeat(900));
        assert_eq!(find(&long).map(|find| find.interests.len()), Ok(1));
    }

    #[test]
    fn reports_have_one_of_five_reasons() {
        let report = |json: &str| Report::parse(json.as_bytes());
        assert_eq!(report(r#"{"reason":"spam"}"#), Ok(Report { reason: Reason::Spam, case: None }));
        let case = CaseCode::parse("K7Q-2MD");
        assert_eq!(
            report(r#"{"reason":"minor","case":"K7Q-2MD"}"#),
            Ok(Report { reason: Reason::Minor, case })
        );
        assert_eq!(report(r#"{"reason":"spam","case":"what?"}"#).map(|report| report.case), Ok(None));
        assert!(matches!(report(r#"{"reason":"dull"}"#), Err(OutOfRange(_))));
        assert!(matches!(report(r#"{"reason":3}"#), Err(Malformed(_))));
        assert_eq!(report(r#"{"reason":"spam","case":[3]}"#).map(|report| report.case), Ok(None));
    }
}
