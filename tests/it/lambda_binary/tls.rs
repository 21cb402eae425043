//! What the function calls, reached over TLS: the way it is deployed. Whom it trusts decides whether it calls at all.

use std::{collections::BTreeMap, env, fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::binary;
use crate::{
    runtime_api::Function,
    world::{Answer, World, answer, event},
};

/// An authority as a company's proxy has one, with a certificate for 127.0.0.1.
struct Authority {
    pem: String,
    acceptor: TlsAcceptor,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "a company's proxy");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        Authority {
            pem: authority.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }

    /// The URL of a TLS server that hands on to the server of a plain URL.
    async fn in_front_of(&self, url: &str) -> String {
        let target = url
            .strip_prefix("http://")
            .unwrap()
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, target) = (acceptor.clone(), target.clone());
                tokio::spawn(async move {
                    // Who does not trust the certificate goes away here.
                    let Ok(mut outside) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut inside = TcpStream::connect(target).await.unwrap();
                    // Ends when either side goes.
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        format!("https://{address}")
    }
}

/// A function whose calls all go over TLS, and its answer to a read.
async fn read(world: &World, authority: &Authority, trust: Option<&PathBuf>) -> Answer {
    let mut variables: BTreeMap<String, String> = world.stack.variables().clone();
    for (name, value) in &mut variables {
        if name.starts_with("AWS_ENDPOINT_URL_") {
            *value = authority.in_front_of(value).await;
        }
    }
    if let Some(trust) = trust {
        variables.insert("SSL_CERT_FILE".to_owned(), trust.to_str().unwrap().to_owned());
    }
    let function = Function::start(&binary(), &variables).await;
    answer(&function.invoke(&event("list-clusters")).await.unwrap())
}

#[tokio::test]
async fn nobody_but_amazon_is_trusted_unless_told() {
    let (world, authority) = (World::start().await, Authority::new());
    let trust = env::temp_dir().join(format!("pcs-api-trust-{}.pem", std::process::id()));
    fs::write(&trust, &authority.pem).unwrap();

    let refused = read(&world, &authority, None).await;
    let code = refused.body["code"].as_str();
    assert_eq!((refused.status, code), (503, Some("AuditUnavailableException")));
    assert!(world.rows().await.is_empty(), "nothing was sent");

    let allowed = read(&world, &authority, Some(&trust)).await;
    assert_eq!(allowed.status, 200, "{allowed:?}");
    assert_eq!(world.rows().await.len(), 1);
    fs::remove_file(&trust).unwrap();
}
