//! Credentials that can be sent. The SDK ends the process at a key with a line break, instead of refusing it.

use std::sync::{Mutex, PoisonError};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};

/// What the SDK asks: another provider's credentials, looked at.
#[derive(Debug)]
pub struct Checked {
    inner: SharedCredentialsProvider,
    /// Found before the SDK asked. A provider may ask a person, who shall not be asked twice.
    first: Mutex<Option<Credentials>>,
}

impl Checked {
    pub async fn over(inner: SharedCredentialsProvider) -> Result<(Checked, Credentials), CredentialsError> {
        let found = checked(inner.provide_credentials().await?)?;
        let provider = Checked {
            inner,
            first: Mutex::new(Some(found.clone())),
        };
        Ok((provider, found))
    }
}

impl ProvideCredentials for Checked {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        future::ProvideCredentials::new(async move {
            match first {
                Some(first) => Ok(first),
                None => checked(self.inner.provide_credentials().await?),
            }
        })
    }
}

/// All parts of a request's header are printable ASCII.
fn checked(credentials: Credentials) -> Result<Credentials, CredentialsError> {
    let parts = [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ];
    for (name, value) in parts {
        if value.is_some_and(|value| value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(CredentialsError::invalid_configuration(format!(
                "the {name} is empty, or holds a blank, a line break or another character that no key has"
            )));
        }
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_in_a_header_is_named_and_not_repeated() {
        let told = |id: &str, secret: &str, token: Option<&str>| {
            let credentials = Credentials::from_keys(id, secret, token.map(str::to_owned));
            checked(credentials).map_err(|error| crate::failure::innermost(&error))
        };
        assert!(told("AKIAIOSFODNN7EXAMPLE", "a+b/c=", Some("x==")).is_ok());
        assert!(told("AKIAIOSFODNN7EXAMPLE", "s", None).is_ok());
        for (id, secret, token, expected) in [
            ("a\nb", "s", None, "access key id"),
            ("", "s", None, "access key id"),
            ("é", "s", None, "access key id"),
            ("a", "s t", None, "secret access key"),
            ("a", "s", Some("t\r\nx-evil: 1"), "session token"),
        ] {
            let fault = told(id, secret, token).unwrap_err();
            assert!(fault.contains(expected) && !fault.contains("evil"), "{fault}");
        }
    }
}
