//! A certificate authority that lives as long as a run, in one file with the roots that the gateway has in it: who
//! is given the file reads as many certificates as the deployed function does.

use std::{fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use crate::{
    Outcome,
    upstream::{DYNAMODB, IAM, PCS, Tls},
};

const AMAZON: [&str; 5] = [
    include_str!("../../../src/aws/AmazonRootCA1.pem"),
    include_str!("../../../src/aws/AmazonRootCA2.pem"),
    include_str!("../../../src/aws/AmazonRootCA3.pem"),
    include_str!("../../../src/aws/AmazonRootCA4.pem"),
    include_str!("../../../src/aws/SFSRootCAG2.pem"),
];

/// TLS for the three services; writes the file to trust into `folder`.
pub fn begin(folder: &Path) -> Outcome<Tls> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "bench throwaway CA");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new([PCS, IAM, DYNAMODB].map(|address| address.to_string()))?
        .signed_by(&key, &authority)?;
    let trust = folder.join("trust.pem");
    fs::write(&trust, AMAZON.concat() + &authority.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok(Tls {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        trust: trust.to_string_lossy().into_owned(),
    })
}
