//! What a client asks before it connects: `/client-config.json` (PROTOCOL.md section 1), and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest request head that is answered.
const HEAD_BYTES: usize = 8_192;
/// How long a client may take.
const REQUEST_S: u64 = 5;

/// The body that tells where to connect.
pub fn client_config(listen: SocketAddr, hashes: &[[u8; 32]]) -> String {
    let hashes: Vec<_> = hashes.iter().map(|hash| format!("\"{}\"", STANDARD.encode(hash))).collect();
    format!(
        r#"{{"protocol":1,"online":0,"state":"open","webtransport":{{"url":"https://{listen}/v1","serverCertificateHashes":[{}]}}}}"#,
        hashes.join(",")
    )
}

/// Answers until the process ends.
pub async fn serve(listener: TcpListener, config: String) {
    let config = Arc::new(config);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(REQUEST_S), answer(stream, &config)).await;
        });
    }
}

async fn answer(mut stream: TcpStream, config: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = match head.split(|byte| *byte == b' ').nth(1) {
        Some(b"/client-config.json") => ("200 OK", config),
        _ => ("404 Not Found", ""),
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}
