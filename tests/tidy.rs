//! The rules of the house, as a test: what a reviewer would otherwise have to look for.
//!
//! Each rule collects what breaks it, so that one run shows all there is to tidy.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines: what one person keeps in mind.
const FILE_LINES: usize = 400;
/// Longest function, in lines: one screen.
const FUNCTION_LINES: usize = 70;

/// What the core must not know: sockets, tasks, clocks, locks, files and random sources of its own.
const NOT_IN_CORE: [&str; 17] = [
    "std::net",
    "std::io",
    "std::fs",
    "std::time",
    "std::thread",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::atomic",
    "std::env",
    "std::process",
    "Instant",
    "SystemTime",
    "tokio",
    "quinn",
    "rustls",
    "getrandom",
    "tracing",
];

/// One file of the project.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    fn is_in(&self, directory: &str) -> bool {
        self.path.starts_with(root().join(directory))
    }

    fn has_ending(&self, ending: &str) -> bool {
        self.path.extension().is_some_and(|found| found == ending)
    }

    /// Numbered lines of code: neither comments nor what follows `#[cfg(test)] mod tests {`, the last part of a file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..tests].lines().enumerate();
        lines.map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file that belongs to the project, in a stable order.
fn project() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| Source { path, text });
    let files: Vec<_> = paths.into_iter().filter_map(read).collect();
    assert!(files.len() > 50, "the project was not found");
    files
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    const SKIPPED: [&str; 6] = ["target", "node_modules", ".git", "corpus", "test-output", "artifacts"];
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let skipped = entry.file_name().to_str().is_none_or(|name| SKIPPED.contains(&name));
        if skipped {
        } else if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}

/// The Rust files of the server and of the load generator.
fn modules() -> Vec<Source> {
    let own = |file: &Source| file.has_ending("rs") && (file.is_in("src") || file.is_in("loadgen/src"));
    project().into_iter().filter(own).collect()
}

fn expect_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn files_are_short_enough_to_read() {
    let long = |file: &Source| {
        let lines = file.text.lines().count();
        (lines > FILE_LINES).then(|| format!("{}: {lines} lines", file.name()))
    };
    // limits.rs is a list: its length is its point.
    let broken: Vec<_> =
        modules().iter().filter(|file| !file.path.ends_with("limits.rs")).filter_map(long).collect();
    expect_none(&format!("a file has at most {FILE_LINES} lines"), &broken);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut broken = Vec::new();
    for file in modules() {
        for (line, length, name) in functions(&file.text) {
            if length > FUNCTION_LINES {
                broken.push(format!("{}:{line}: {name} has {length} lines", file.name()));
            }
        }
    }
    expect_none(&format!("a function has at most {FUNCTION_LINES} lines"), &broken);
}

/// Where each function starts, how long it is, and its name. Formatted code closes a function where its line began.
fn functions(text: &str) -> Vec<(usize, usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        // One that ends on its own line, with its body or without one, is not looked for further down.
        let on_one_line = line.ends_with('}') || line.ends_with(';');
        let end =
            lines[start..].iter().take_while(|_| !on_one_line).position(|line| *line == closing).unwrap_or(0);
        found.push((start + 1, end + 1, name));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start().split(' ').skip_while(|word| {
        matches!(*word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub(")
    });
    (words.next() == Some("fn"))
        .then(|| words.next())
        .flatten()
        .and_then(|name| name.split(['(', '<']).next())
}

#[test]
fn every_module_says_what_it_is() {
    let broken: Vec<_> =
        modules().iter().filter(|file| !file.text.starts_with("//! ")).map(Source::name).collect();
    expect_none("a module opens with //! and what it is", &broken);
}

#[test]
fn the_core_knows_no_socket_task_clock_or_lock() {
    let mut broken = Vec::new();
    for file in modules().iter().filter(|file| file.is_in("src/core")) {
        for (number, line) in file.code() {
            let known = NOT_IN_CORE.iter().filter(|word| has_word(line, word));
            broken.extend(known.map(|word| format!("{}:{number}: {word}", file.name())));
        }
    }
    expect_none("time and randomness are arguments of the core, and I/O is its driver's", &broken);
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let whole = |byte: Option<u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_');
        let before = at.checked_sub(1).and_then(|at| line.as_bytes().get(at).copied());
        whole(before) && (word.starts_with("quinn") || whole(line.as_bytes().get(at + word.len()).copied()))
    })
}

#[test]
fn no_file_is_dead() {
    let files = modules();
    let mut broken = Vec::new();
    for file in &files {
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let directory = file.path.parent().expect("a directory");
        let (stem, directory) = match stem {
            "main" | "lib" => continue,
            "mod" => {
                (directory.file_name().and_then(|name| name.to_str()).expect("a name"), directory.parent())
            }
            stem => (stem, Some(directory)),
        };
        // A sibling that is the crate's root or the directory's module, or the file next to the directory.
        let directory = directory.expect("a directory");
        let may_declare = |other: &&Source| {
            other.path.parent() == Some(directory) || other.path.with_extension("") == directory
        };
        let declared = files.iter().filter(may_declare).any(|other| {
            other.text.lines().any(|line| {
                line.trim_end().ends_with(&format!("mod {stem};"))
                    || line.contains(&format!("path = \"{stem}.rs\""))
            })
        });
        if !declared {
            broken.push(file.name());
        }
    }
    expect_none("every file is declared by a module", &broken);
}

#[test]
fn every_unsafe_block_says_why_it_is_safe() {
    let mut broken = Vec::new();
    for file in modules() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (number, line) in file.code() {
            let starts = ["unsafe {", "unsafe impl"].iter().any(|word| line.contains(word));
            let said = lines[number.saturating_sub(5)..number].iter().any(|line| line.contains("SAFETY:"));
            if starts && !said {
                broken.push(format!("{}:{number}", file.name()));
            }
        }
    }
    expect_none("unsafe code has a SAFETY comment in the lines above it", &broken);
}

/// Types of fields that may hold what somebody said, wished, proved or came from.
const TELLING: [&str; 11] = [
    "Bytes",
    "BytesMut",
    "Vec<u8>",
    "[u8;",
    "Zeroizing",
    "String",
    "Box<str>",
    "Cow",
    "SocketAddr",
    "IpAddr",
    "Transmit",
];

/// The lines of the structures and enums that derive `Debug`, each with its number.
fn printable_fields(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        if !(line.trim_start().starts_with("#[derive(") && line.contains("Debug")) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let ends = |line: &&str| *line == closing || (line.starts_with(indent) && line.ends_with(';'));
        let end = lines[start..].iter().position(ends).unwrap_or(0);
        let body = lines[start..=start + end].iter().enumerate().skip(1);
        found.extend(body.map(|(offset, line)| (start + offset + 1, *line)));
    }
    found
}

/// Whether `Debug` would show what is in this field: it may hold something, and neither a type nor an attribute hides it.
fn would_be_shown(line: &str, before: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    // Numbers, and the operator's own relays, are nobody's.
    let harmless = code.contains("[u8; 8]") || code.contains("urls:");
    let telling = !harmless
        && TELLING
            .iter()
            .any(|word| if word.ends_with(';') { code.contains(word) } else { has_word(code, word) });
    let hidden = code.contains("Hidden<") || [line, before].iter().any(|line| line.contains("#[debug("));
    telling && !hidden
}

#[test]
fn what_people_say_and_where_they_are_is_never_printed() {
    let mut broken = Vec::new();
    let directories = ["src/abuse", "src/core", "src/transport", "src/privacy"];
    for file in modules().iter().filter(|file| directories.iter().any(|directory| file.is_in(directory))) {
        let fields = printable_fields(&file.text);
        for pair in fields.windows(2) {
            let [(_, before), (number, line)] = pair else { continue };
            if would_be_shown(line, before) {
                broken.push(format!("{}:{number}: {}", file.name(), line.trim()));
            }
        }
    }
    expect_none(
        "Debug shows lengths, not contents: #[debug(\"{} bytes\", field.len())] or Hidden<T>",
        &broken,
    );
}

/// Names of the values that a log line may carry: numbers of the server's own, its places and its causes.
const LOGGED: [&str; 13] = [
    "allowed",
    "allowed_kib",
    "error",
    "lost",
    "place",
    "reloaded",
    "shard",
    "thread",
    "wanted_kib",
    "warning",
    "what",
    "retry_s",
    "within_s",
];

/// The calls of the log in a file: the number of the line, and what stands between the parentheses.
fn log_calls(file: &Source) -> Vec<(usize, String)> {
    let code: Vec<_> = file.code().collect();
    let numbered: Vec<_> = code.iter().map(|(number, line)| format!("{number}\t{line}")).collect();
    let text = numbered.join("\n");
    let calls = text.match_indices("tracing::").filter_map(|(at, _)| {
        let rest = &text[at + "tracing::".len()..];
        let level = ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "event!("];
        let arguments = level.iter().find_map(|level| rest.strip_prefix(level))?;
        let number = text[..at].lines().last()?.split('\t').next()?.parse().ok()?;
        let mut depth = 1;
        let end = arguments.find(|character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            depth == 0
        })?;
        Some((number, arguments[..end].to_owned()))
    });
    calls.collect()
}

/// The names of the values of a call that are not allowed.
fn not_allowed(arguments: &str) -> Vec<String> {
    let mut names = Vec::new();
    // Strings are looked at for what they put in, the rest for `name = value` and `%name`.
    for (index, part) in arguments.split('"').enumerate() {
        let found: Vec<&str> = if index % 2 == 1 {
            part.split('{').skip(1).filter_map(|rest| rest.split(['}', ':']).next()).collect()
        } else {
            let words = part.split([',', '\n', '\t']).map(str::trim).filter(|word| !word.is_empty());
            words.map(|word| word.split('=').next().unwrap_or_default().trim()).collect()
        };
        let name = |name: &str| name.trim_start_matches(['%', '?', '&']).to_owned();
        names.extend(found.into_iter().map(name).filter(|name| name.chars().any(char::is_alphabetic)));
    }
    names.retain(|name| !LOGGED.contains(&name.as_str()) && name != "target:");
    names
}

#[test]
fn the_log_carries_only_values_that_are_known_to_be_harmless() {
    let mut broken = Vec::new();
    for file in modules().iter().filter(|file| file.is_in("src")) {
        for (number, arguments) in log_calls(file) {
            broken.extend(
                not_allowed(&arguments).iter().map(|name| format!("{}:{number}: {name}", file.name())),
            );
        }
    }
    expect_none("a value in a log line is looked at, and then named in tests/tidy.rs", &broken);
}

#[test]
fn nothing_is_left_lying_about() {
    // Written in two parts, so that this file passes its own test.
    let forbidden = [
        (["TO", "DO"], "finish it or leave it"),
        (["FIX", "ME"], "fix it or leave it"),
        (["XX", "X:"], "say what is meant"),
        (["db", "g!("], "a trace of debugging"),
        (["/ro", "ot/"], "a path of one machine"),
        (["/ho", "me/"], "a path of one machine"),
        (["/Us", "ers/"], "a path of one machine"),
        (["/wo", "rk/"], "a path of one machine"),
        (["lorem ", "ipsum"], "a filler"),
    ];
    let mut broken = Vec::new();
    for file in project() {
        for (number, line) in file.text.lines().enumerate() {
            let found = forbidden.iter().filter(|(parts, _)| line.contains(&parts.concat()));
            broken
                .extend(found.map(|(parts, why)| {
                    format!("{}:{}: {}: {why}", file.name(), number + 1, parts.concat())
                }));
        }
        if file.path.ends_with("package-lock.json") && file.text.contains("\"resolved\"") {
            broken.push(format!(
                "{}: names a registry's host; lock with omit-lockfile-registry-resolved",
                file.name()
            ));
        }
    }
    expect_none("what is in the project is meant to be there", &broken);
}

#[test]
fn documents_that_are_named_exist() {
    let mut broken = Vec::new();
    for file in project() {
        for (number, line) in file.text.lines().enumerate() {
            for (at, _) in line.match_indices("docs/") {
                let name: String = line[at..]
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || "/_-.".contains(*c))
                    .collect();
                let name = name.trim_end_matches(['.', '/']);
                let is_ours = Path::new(name).extension().is_some_and(|end| end == "md" || end == "json");
                if is_ours && !root().join(name).exists() && !root().join("client-js").join(name).exists() {
                    broken.push(format!("{}:{}: {name}", file.name(), number + 1));
                }
            }
        }
    }
    expect_none("a document that is named is there", &broken);
}

#[test]
fn the_rules_see_what_they_are_meant_to_see() {
    let long = format!(
        "impl A {{\n    pub(super) async fn long<T>(x: T) {{\n{}    }}\n}}\n",
        "        x;\n".repeat(80)
    );
    assert_eq!(functions(&long), [(2, 82, "long")]);
    assert_eq!(functions("fn short() {}\n"), [(1, 1, "short")]);
    assert!(has_word("use std::time::Instant;", "Instant") && has_word("use quinn_proto::X;", "quinn"));
    assert!(!has_word("let instants = 3;", "Instant") && !has_word("tokio_like", "tokio"));
    let said = "#[derive(Clone, Debug)]\npub struct Said {\n    pub words: Bytes,\n}\n";
    let fields = printable_fields(said);
    assert_eq!(fields[1], (3, "    pub words: Bytes,"));
    assert!(would_be_shown(fields[1].1, fields[0].1));
    assert!(!would_be_shown("    pub words: Bytes,", "    #[debug(\"{} bytes\", words.len())]"));
    assert!(!would_be_shown("    secret: Hidden<Vec<u8>>,", ""));
    assert_eq!(not_allowed("shard = 3, %error, \"a shard\""), [""; 0]);
    assert_eq!(not_allowed("shard = 3, %remote, \"from {peer}\""), ["remote", "peer"]);
}
