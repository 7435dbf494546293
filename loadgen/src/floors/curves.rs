//! The floor of a handshake: what its curves cost alone.

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey as VerifyKey,
};

type Operation = Box<dyn FnMut()>;

/// What one side of a TLS 1.3 handshake does with curves.
pub fn operations() -> Result<Vec<(&'static str, Operation)>, String> {
    let unusable = |_| "this machine has no usable P-256".to_string();
    let random = SystemRandom::new();
    let signer = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(unusable)?;
    let message = [7; 130];
    let signature = signer.sign(&random, &message).map_err(unusable)?;
    let public = signer.public_key().as_ref().to_vec();
    let peer = EphemeralPrivateKey::generate(&X25519, &random)
        .and_then(|key| key.compute_public_key())
        .map_err(unusable)?
        .as_ref()
        .to_vec();
    let sign = move || {
        std::hint::black_box(signer.sign(&SystemRandom::new(), &message).is_ok());
    };
    let verify = move || {
        let key = VerifyKey::new(&ECDSA_P256_SHA256_ASN1, &public);
        std::hint::black_box(key.verify(&message, signature.as_ref()).is_ok());
    };
    let random_key = || EphemeralPrivateKey::generate(&X25519, &SystemRandom::new());
    let generate = move || {
        std::hint::black_box(random_key().and_then(|key| key.compute_public_key()).is_ok());
    };
    let agree = move || {
        let Ok(key) = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()) else { return };
        let theirs = UnparsedPublicKey::new(&X25519, &peer);
        std::hint::black_box(agree_ephemeral(key, theirs, (), |secret| Ok(secret.len())).is_ok());
    };
    Ok(vec![
        ("P-256 signature (server, each handshake)", Box::new(sign)),
        ("P-256 verification (client, each handshake)", Box::new(verify)),
        ("X25519 key (both, each handshake)", Box::new(generate)),
        ("X25519 key and agreement (both, each handshake)", Box::new(agree)),
    ])
}
