//! Embeds the page: every file of client-js/app (served at /) and client-js/src (served at /src/), compressed ahead of time.
//!
//! In: the two directories. Out: `assets.rs` with one table, and the compressed files beside it. The files ship as they are
//! written; there is no bundler, so what a browser receives can be compared with the source byte by byte.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The directories, and where they are served.
const ROOTS: [(&str, &str); 2] = [("client-js/app", "/"), ("client-js/src", "/src/")];
/// A template: the server puts its privacy policy into it, so what is served is not the file.
const POLICY_PAGE: &str = "/privacy.html";
/// Bytes of SHA-256 in an `ETag`: 128 bits.
const ETAG_BYTES: usize = 16;
/// What is beside the page and no part of it.
const SKIPPED_NAMES: [&str; 5] = ["node_modules", "test", "tests", "package.json", "package-lock.json"];
const SKIPPED_ENDS: [&str; 6] = [".test.js", ".d.ts", ".md", ".map", "tsconfig.json", "tsconfig.types.json"];

fn main() -> Result<(), Box<dyn Error>> {
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for (directory, served_at) in ROOTS {
        println!("cargo:rerun-if-changed={directory}");
        let root = source.join(directory);
        if root.is_dir() {
            collect(&root, served_at, &mut files)?;
        }
    }
    files.sort();
    let mut table = String::from("&[\n");
    let mut sums = String::new();
    for (path, file) in &files {
        let content = fs::read(file)?;
        if path != POLICY_PAGE {
            writeln!(sums, "{}  {path}", hex(digest(&SHA256, &content).as_ref()))?;
        }
        table.push_str(&embed(&out, path, &content)?);
    }
    // What a visitor can compare with `sha256sum` of the published source.
    table.push_str(&embed(&out, "/SHA256SUMS", sums.as_bytes())?);
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

fn collect(
    directory: &Path,
    served_at: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or("a file name that is not UTF-8")?
            .to_owned();
        let skipped = name.starts_with('.')
            || SKIPPED_NAMES.contains(&name.as_str())
            || SKIPPED_ENDS.iter().any(|end| name.ends_with(end));
        if skipped {
            continue;
        }
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            collect(&path, &format!("{served_at}{name}/"), files)?;
        } else {
            files.push((format!("{served_at}{name}"), path));
        }
    }
    Ok(())
}

/// Writes the three forms of a file and returns its row of the table.
fn embed(out: &Path, path: &str, content: &[u8]) -> Result<String, Box<dyn Error>> {
    let mime = mime(path).ok_or_else(|| format!("{path}: no MIME type is known for this kind of file"))?;
    let name = path.trim_start_matches('/').replace('/', "+");
    fs::write(out.join(&name), content)?;
    let brotli = variant(out, &name, "br", content, &brotli(content)?)?;
    let gzip = variant(out, &name, "gz", content, &gzip(content)?)?;
    let etag = URL_SAFE_NO_PAD.encode(&digest(&SHA256, content).as_ref()[..ETAG_BYTES]);
    let plain = out.join(&name).display().to_string();
    Ok(format!(
        "    Asset {{\n        path: {path:?},\n        mime: {mime:?},\n        hash: {etag:?},\n        \
         plain: include_bytes!({plain:?}),\n        brotli: {brotli},\n        gzip: {gzip},\n    }},\n"
    ))
}

/// The compressed form as an expression, `None` where compressing does not pay.
fn variant(
    out: &Path,
    name: &str,
    end: &str,
    plain: &[u8],
    compressed: &[u8],
) -> Result<String, Box<dyn Error>> {
    if compressed.len() >= plain.len() {
        return Ok("None".to_owned());
    }
    let file = out.join(format!("{name}.{end}"));
    fs::write(&file, compressed)?;
    let file = file.display().to_string();
    Ok(format!("Some(include_bytes!({file:?}))"))
}

fn brotli(content: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut compressed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &content[..], &mut compressed, &params)?;
    Ok(compressed)
}

fn gzip(content: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    // The default header holds no time and no name, so the same source gives the same bytes.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn mime(path: &str) -> Option<&'static str> {
    let (_, name) = path.rsplit_once('/')?;
    Some(match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "webmanifest" => "application/manifest+json",
        "txt" | "" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
