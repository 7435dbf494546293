//! One order with the authority, from the account to the certificate.

use std::sync::Arc;

use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::state::State;
use super::{Acme, AcmeError};
use crate::tls::CertificateStore;

/// Gets a certificate for a new key. Returns the key and the chain, as PEM.
pub(super) async fn order(
    acme: &Acme,
    state: &State,
    store: &CertificateStore,
) -> Result<Zeroizing<Vec<u8>>, AcmeError> {
    let account = account(acme, state).await?;
    let names: Vec<_> = acme.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let proven = prove(&mut order, store).await;
    store.set_challenges(Vec::new());
    proven?;
    let key = Zeroizing::new(order.finalize().await?);
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    Ok(Zeroizing::new([key.as_bytes(), b"\n", chain.as_bytes()].concat()))
}

async fn account(acme: &Acme, state: &State) -> Result<Account, AcmeError> {
    if let Some(account) = state.account()? {
        return Ok(builder(acme)?.from_credentials(account).await?);
    }
    let contact: Vec<&str> = acme.contact.as_deref().into_iter().collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder(acme)?.create(&new, acme.directory.clone(), None).await?;
    state.write_account(&credentials)?;
    Ok(account)
}

fn builder(acme: &Acme) -> Result<AccountBuilder, AcmeError> {
    Ok(match &acme.root {
        Some(root) => Account::builder_with_root(root)?,
        None => Account::builder()?,
    })
}

/// Shows the authority that the names lead here: a handshake for each, with a certificate that holds what was agreed on (RFC 8737).
async fn prove(order: &mut Order, store: &CertificateStore) -> Result<(), AcmeError> {
    let mut certificates = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(AcmeError("the authority does not offer TLS-ALPN-01".to_owned()));
        };
        let name = challenge.identifier().to_string();
        let certificate = challenge_certificate(&name, challenge.key_authorization().digest().as_ref())?;
        certificates.push((name, Arc::new(certificate)));
        store.set_challenges(certificates.clone());
        challenge.set_ready().await?;
    }
    match order.poll_ready(&RetryPolicy::default()).await? {
        OrderStatus::Ready => Ok(()),
        _ => Err(AcmeError(refusal(order).await)),
    }
}

/// What the authority says about a name that it did not find here.
async fn refusal(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let error = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(detail) = error.and_then(|error| error.detail.as_deref()) {
            return format!("the authority did not find this server under its name: {detail}");
        }
    }
    "the authority refuses, and does not say why".to_owned()
}

fn challenge_certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&pair)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let signing = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&private)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signing))
}
