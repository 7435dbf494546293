//! How long something lasts, as people write it: `90s`, `30m`, `24h`.

/// Seconds, from 1 to `most`; else what is allowed. A number alone means seconds.
pub fn seconds(text: &str, most: u64) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.len() - usize::from(text.ends_with(['s', 'm', 'h'])));
    let factor = match unit {
        "h" => 3_600,
        "m" => 60,
        _ => 1,
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(factor));
    let allowed = |seconds: &u64| digits && (1..=most).contains(seconds);
    seconds.filter(allowed).ok_or_else(|| format!("allowed is 1s to {}h, such as 30m", most / 3_600))
}

/// The same in words, in the largest unit that tells it well.
pub fn words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        let seconds = |text| seconds(text, 86_400);
        assert_eq!(["90s", "30m", "24h", "7"].map(seconds), [Ok(90), Ok(1_800), Ok(86_400), Ok(7)]);
        for wrong in ["", "m", "0s", "30 m", "-1m", "+1m", "1d", "ä", "25h", "18446744073709551615h"] {
            assert!(seconds(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!([5, 119, 900, 86_400].map(words), ["5 s", "119 s", "15 min", "24 h"]);
    }
}
