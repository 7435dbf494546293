//! The liar over WebSocket, by a library of other people. Its messages cut the channel anywhere.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, http};
use wtransport::Identity;

use super::{REFUSAL, Shared, gone, newcomer, refused, talk};

/// First byte of a TLS hello.
const TLS_HANDSHAKE: u8 = 0x16;
/// Messages of the liar are this long at most: no frame of the channel fits into one.
const SLICE_BYTES: usize = 7;

/// TLS with the liar's certificate.
pub fn acceptor(identity: &Identity) -> TlsAcceptor {
    let certificates = identity.certificate_chain().as_slice();
    let chain = certificates.iter().map(|one| one.der().to_vec().into()).collect();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(identity.private_key().secret_der().to_vec());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

pub async fn serve(listener: TcpListener, acceptor: TlsAcceptor, world: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let (world, acceptor) = (Arc::clone(&world), acceptor.clone());
        tokio::spawn(async move {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first[0] == TLS_HANDSHAKE => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        upgrade(stream, world).await;
                    }
                }
                Ok(1) => upgrade::<TcpStream>(stream, world).await,
                _ => {}
            }
        });
    }
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, world: Shared) {
    let forbid = world.lock().unwrap().lies.forbid;
    #[allow(clippy::result_large_err, reason = "the library's own type")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if forbid || request.uri().path() != "/v1" || !request.headers().contains_key("origin") {
            let refusal = http::Response::builder().status(403).body(None).unwrap();
            return Err(refusal);
        }
        Ok(response)
    };
    if let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, check).await {
        session(socket, world).await;
    }
}

async fn session<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut socket: WebSocketStream<S>,
    world: Shared,
) {
    let id = newcomer(&world);
    if let Some(code) = refused(&world, id) {
        let reason = std::str::from_utf8(REFUSAL).unwrap().into();
        let _ = socket.close(Some(CloseFrame { code: (4000 + code as u16).into(), reason })).await;
        while let Some(Ok(_)) = socket.next().await {}
        return;
    }
    let (mut sink, mut source) = socket.split();
    let (mut writer, reader) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Binary(bytes) = message
                && writer.write_all(&bytes).await.is_err()
            {
                return;
            }
        }
        let _ = writer.shutdown().await;
    });
    let (out, mut queue) = unbounded_channel();
    tokio::spawn(async move {
        while let Some((at, frame)) = queue.recv().await {
            tokio::time::sleep_until(at).await;
            let frame: Vec<u8> = frame;
            for slice in frame.chunks(SLICE_BYTES.max(frame.len() / 16)) {
                if sink.send(Message::Binary(slice.to_vec().into())).await.is_err() {
                    return;
                }
            }
        }
    });
    let _ = talk(reader.take(u64::MAX), &out, id, &world).await;
    gone(&world, id);
}
