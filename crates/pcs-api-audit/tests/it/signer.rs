//! KMS's `Sign` on loopback, with a P-256 key made for the run.

use std::{convert::Infallible, net::Ipv4Addr};

use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const KEY_ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// A running stand-in.
pub struct Signer {
    pub url: String,
    /// PEM.
    pub public_key: String,
}

impl Signer {
    pub async fn start() -> Signer {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let public_key = pem(key.public_key().as_ref());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key: &'static EcdsaKeyPair = Box::leak(Box::new(key));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(move |request| answer(key, request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Signer { url, public_key }
    }
}

/// The request and the answer of KMS's API reference for `Sign`.
async fn answer(key: &EcdsaKeyPair, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.headers()["x-amz-target"], "TrentService.Sign");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["KeyId"], KEY_ARN);
    assert_eq!(body["MessageType"], "RAW");
    assert_eq!(body["SigningAlgorithm"], "ECDSA_SHA_256");
    let message = base64(body["Message"].as_str().unwrap());
    let signature = key.sign(&SystemRandom::new(), &message).unwrap();
    let answer = json!({
        "KeyId": KEY_ARN,
        "Signature": BASE64_STANDARD.encode(signature.as_ref()),
        "SigningAlgorithm": "ECDSA_SHA_256",
    });
    let response = Response::builder().header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::new(Bytes::from(answer.to_string()))).unwrap())
}

fn base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}

/// RFC 5480's `SubjectPublicKeyInfo` for an uncompressed P-256 point.
fn pem(point: &[u8]) -> String {
    let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01".to_vec();
    der.extend(b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00");
    der.extend(point);
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(der)
    )
}
