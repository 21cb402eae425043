//! Requests signed elsewhere (AWS's signing test suite, botocore, curl) must pass; each one changed must not.

mod aws_suite;
mod told;
mod vector;

use vector::{ACCESS_KEY, Vector, key, request};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn what_other_clients_sign_holds() {
    for vector in Vector::all() {
        assert_eq!(
            vector.verdict_at(vector.time()),
            Ok(()),
            "{} {}",
            vector.name,
            vector.form
        );
    }
}

#[test]
fn a_flipped_digit_of_any_signature_does_not_hold() {
    for mut vector in Vector::all() {
        let now = vector.time();
        let place = if vector.form == "header" {
            vector.header("authorization")
        } else {
            &mut vector.target
        };
        // Signatures stand last, in hex.
        let last = if place.pop() == Some('0') { '1' } else { '0' };
        place.push(last);
        assert_eq!(
            vector.verdict_at(now),
            Err(Refusal::SignatureMismatch),
            "{} {}",
            vector.name,
            vector.form
        );
    }
}

/// Applies `change` to a request of this name and form, which held before.
fn changed(name: &str, form: &str, change: impl FnOnce(&mut Vector)) -> Refusal {
    let mut vector = Vector::named(name, form);
    let now = vector.time();
    change(&mut vector);
    vector.verdict_at(now).unwrap_err()
}

#[test]
fn every_signed_part_is_covered() {
    for form in ["header", "query"] {
        let mismatch = |change: &dyn Fn(&mut Vector)| {
            assert_eq!(
                changed("query in order", form, change),
                Refusal::SignatureMismatch,
                "{form}"
            );
        };
        mismatch(&|vector| vector.method = "DELETE".to_owned());
        mismatch(&|vector| vector.target = vector.target.replacen("clusters", "queues", 1));
        mismatch(&|vector| vector.target = vector.target.replacen("clusters", "cluster%73", 1));
        mismatch(&|vector| vector.target = vector.target.replacen("=5", "=6", 1));
        mismatch(&|vector| vector.target = vector.target.replacen("maxResults", "MaxResults", 1));
        mismatch(&|vector| vector.target.push_str("&dryrun=true"));
        mismatch(&|vector| vector.target.push_str("&region=us-east-1"));
        mismatch(&|vector| *vector.header("host") = "127.0.0.1:3001".to_owned());
        mismatch(&|vector| vector.body = b"{}".to_vec());
    }
    let body = changed("json body", "header", |vector| vector.body.push(b' '));
    assert_eq!(body, Refusal::SignatureMismatch);
    let header = changed("spaces in a header", "header", |vector| {
        vector.edit("x-team", "two", "2");
    });
    assert_eq!(header, Refusal::SignatureMismatch);
    let time = changed("list", "header", |vector| {
        vector.edit("x-amz-date", "T090039Z", "T090040Z");
    });
    assert_eq!(time, Refusal::SignatureMismatch);
    let date = changed("date header", "header", |vector| {
        vector.edit("date", "09:00:39", "09:00:40");
    });
    assert_eq!(date, Refusal::SignatureMismatch);
    for (from, to) in [("T090039Z", "T090040Z"), ("Expires=3600", "Expires=604800")] {
        let changed = changed("list", "query", |vector| {
            vector.target = vector.target.replacen(from, to, 1);
        });
        assert_eq!(changed, Refusal::SignatureMismatch, "{to}");
    }
}

#[test]
fn spaces_around_and_in_header_values_do_not_count() {
    let mut vector = Vector::named("spaces in a header", "header");
    *vector.header("x-team") = "two words".to_owned();
    assert_eq!(vector.verdict_at(vector.time()), Ok(()));
}

#[test]
fn the_key_must_be_known_and_be_this_one() {
    let unknown = changed("list", "header", |vector| {
        vector.edit("authorization", ACCESS_KEY, "AKIAUNKNOWN");
    });
    assert_eq!(unknown, Refusal::UnrecognizedClient);
    let other = changed("list", "header", |v| {
        v.edit("authorization", ACCESS_KEY, "AKIAI44QH8DHBEXAMPLE");
    });
    assert_eq!(other, Refusal::SignatureMismatch);
    assert_eq!(
        unknown.to_string(),
        "The security token included in the request is invalid."
    );
}

#[test]
fn a_session_token_is_compared_and_signed() {
    let name = "query in order with a token";
    for form in ["header", "query"] {
        // Another token than the key's, and one where the key has none.
        assert_eq!(
            changed(name, form, |vector| vector.token = Some("other".into())),
            Refusal::UnrecognizedClient
        );
        assert_eq!(
            changed(name, form, |vector| vector.token = None),
            Refusal::UnrecognizedClient
        );
        let missing = changed("query in order", form, |vector| {
            vector.token = Some("some".into());
        });
        assert_eq!(missing, Refusal::UnrecognizedClient);
    }
    let unsigned = changed(name, "header", |vector| {
        vector.edit("authorization", ";x-amz-security-token", "");
    });
    assert!(
        matches!(unsigned, Refusal::IncompleteSignature(_)),
        "{unsigned:?}"
    );
    let twice = changed(name, "query", |vector| {
        let token = vector.token.clone().unwrap();
        vector.add("X-Amz-Security-Token", &token);
    });
    assert!(matches!(twice, Refusal::IncompleteSignature(_)), "{twice:?}");
}

#[test]
fn the_scope_must_be_this_region_and_service_and_day() {
    let scope = |from: &str, to: &str| changed("list", "header", |v| v.edit("authorization", from, to));
    assert_eq!(scope("us-east-1", "eu-west-1"), Refusal::WrongRegion);
    assert_eq!(
        scope("/execute-api/", "/pcs/").to_string(),
        "Credential should be scoped to correct service: 'execute-api'."
    );
    assert_eq!(scope("/20261120/", "/20261119/"), Refusal::WrongDate);
    let terminator = scope("aws4_request", "aws4");
    assert!(
        matches!(terminator, Refusal::IncompleteSignature(_)),
        "{terminator:?}"
    );
}

#[test]
fn time_has_a_window_of_five_minutes() {
    let signed = at("2026-11-20T09:00:39Z");
    for (form, now, holds) in [
        ("header", "2026-11-20T09:05:39Z", true),
        ("header", "2026-11-20T09:05:40Z", false),
        ("header", "2026-11-20T08:55:39Z", true),
        ("header", "2026-11-20T08:55:38Z", false),
        // Presigned for 3600 seconds.
        ("query", "2026-11-20T10:00:39Z", true),
        ("query", "2026-11-20T10:00:40Z", false),
        ("query", "2026-11-20T08:55:38Z", false),
    ] {
        let vector = Vector::named("list", form);
        assert_eq!(vector.time(), signed);
        assert_eq!(vector.verdict_at(at(now)).is_ok(), holds, "{form} {now}");
    }
    let vector = Vector::named("list", "header");
    // AWS's wording, with this request's times.
    assert_eq!(
        vector
            .verdict_at(at("2026-11-20T09:10:39Z"))
            .unwrap_err()
            .to_string(),
        "Signature expired: 20261120T090039Z is now earlier than 20261120T090539Z (20261120T091039Z - 5 min.)"
    );
    assert_eq!(
        vector
            .verdict_at(at("2026-11-20T08:50:39Z"))
            .unwrap_err()
            .to_string(),
        "Signature not yet current: 20261120T090039Z is still later than 20261120T085539Z (20261120T085039Z + 5 min.)"
    );
}

#[test]
fn a_presigned_request_lives_a_week_at_most() {
    for expires in ["0", "604801", "-1", "", "1h", "+60"] {
        let refusal = changed("list", "query", |vector| {
            vector.target = vector
                .target
                .replacen("Expires=3600", &format!("Expires={expires}"), 1);
        });
        assert!(
            matches!(refusal, Refusal::IncompleteSignature(_)),
            "{expires}: {refusal:?}"
        );
    }
}

#[test]
fn there_is_exactly_one_form_of_authentication() {
    let mut unsigned = Vector::named("list", "header");
    unsigned.headers.retain(|(name, _)| name != "Authorization");
    assert_eq!(
        unsigned.verdict_at(at("2026-11-20T09:00:39Z")),
        Err(Refusal::MissingAuthenticationToken)
    );
    let header = Vector::named("list", "header").header("authorization").clone();
    let incomplete = |name: &str, form: &str, change: &dyn Fn(&mut Vector)| {
        let refusal = changed(name, form, change);
        assert!(
            matches!(refusal, Refusal::IncompleteSignature(_)),
            "{name} {form}: {refusal:?}"
        );
    };
    // A good header with parts of the other form, and the other way round.
    incomplete("list", "query", &|vector| vector.add("Authorization", &header));
    incomplete("list", "query", &|vector| vector.add("authorization", "Bearer x"));
    incomplete("list", "query", &|vector| vector.add("Authorization", ""));
    for parameter in [
        "X-Amz-Signature=0",
        "X-Amz-Credential=a",
        "X-Amz-Security-Token=t",
        "X%2DAmz%2DDate=1",
    ] {
        incomplete("query in order", "header", &|vector| {
            vector.add_to_query(parameter);
        });
    }
    // Twice the same.
    incomplete("list", "header", &|vector| vector.add("Authorization", &header));
    incomplete("list", "header", &|vector| {
        vector.add("X-Amz-Date", "20261120T090039Z");
    });
    incomplete("list", "header", &|vector| vector.add("host", "127.0.0.1:3000"));
    for parameter in [
        "Algorithm=AWS4-HMAC-SHA256",
        "Date=20261120T090039Z",
        "Expires=3600",
        "Signature=0",
    ] {
        incomplete("list", "query", &|vector| {
            vector.add_to_query(&["X-Amz-", parameter].concat());
        });
    }
    incomplete("list", "query", &|vector| {
        vector
            .target
            .push_str("&X-Amz-Security-Token=a&X-Amz-Security-Token=b");
    });
}

#[test]
fn every_piece_of_both_forms_is_needed() {
    let now = at("2026-11-20T09:00:39Z");
    let good = Vector::named("list", "header").header("authorization").clone();
    let (algorithm, fields) = good.split_once(' ').unwrap();
    let fields: Vec<&str> = fields.split(", ").collect();
    let mut headers = vec![
        "Bearer token".to_owned(),
        "AWS4-HMAC-SHA256".to_owned(),
        good.replace("HMAC-SHA256", "ECDSA-P256-SHA256"),
        good.replace("Signature=", "Signature:"),
        format!("{good}, Extra=1"),
        format!("{good}, Signature=0"),
        good.replace("host;x-amz-date", "x-amz-date;host"),
        good.replace("host;x-amz-date", "Host;x-amz-date"),
        good.replace("host;x-amz-date", "host;host;x-amz-date"),
        good.replace("host;x-amz-date", "host;x-absent;x-amz-date"),
        good.replace("host;x-amz-date", "host"),
        good.replace("host;x-amz-date", "x-amz-date"),
        good.replace("host;x-amz-date", ""),
    ];
    for left_out in 0..fields.len() {
        let mut rest = fields.clone();
        rest.remove(left_out);
        headers.push(format!("{algorithm} {}", rest.join(", ")));
    }
    for header in headers {
        let mut vector = Vector::named("list", "header");
        vector.header("authorization").clone_from(&header);
        let verdict = vector.verdict_at(now);
        assert!(
            matches!(verdict, Err(Refusal::IncompleteSignature(_))),
            "{header}: {verdict:?}"
        );
    }
    let target = Vector::named("list", "query").target;
    let (path, query) = target.split_once('?').unwrap();
    let pieces: Vec<&str> = query.split('&').collect();
    for left_out in 0..pieces.len() {
        let mut rest = pieces.clone();
        rest.remove(left_out);
        let mut vector = Vector::named("list", "query");
        vector.target = format!("{path}?{}", rest.join("&"));
        let verdict = vector.verdict_at(now);
        assert!(
            matches!(verdict, Err(Refusal::IncompleteSignature(_))),
            "{}: {verdict:?}",
            pieces[left_out]
        );
    }
}

#[test]
fn times_are_written_in_one_way() {
    for date in [
        "20261120T090039",
        "2026-11-20T09:00:39Z",
        "20261120T90039Z",
        "20261320T090039Z",
        "",
        "now",
    ] {
        let refusal = changed("list", "header", |vector| {
            *vector.header("x-amz-date") = date.to_owned();
        });
        assert!(
            matches!(refusal, Refusal::IncompleteSignature(_)),
            "{date}: {refusal:?}"
        );
    }
}

#[test]
fn every_amz_header_must_be_signed() {
    for form in ["header", "query"] {
        let refusal = changed("list", form, |vector| vector.add("X-Amz-Meta", "1"));
        assert!(
            matches!(refusal, Refusal::IncompleteSignature(_)),
            "{form}: {refusal:?}"
        );
        let mut other = Vector::named("list", form);
        other.add("X-Other", "1");
        assert_eq!(
            other.verdict_at(other.time()),
            Ok(()),
            "other headers need not be signed"
        );
    }
    // aws-requests-auth sends the hash of the body and does not sign it. It has to be true all the same.
    for form in ["header", "query"] {
        let mut hash = Vector::named("list", form);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        hash.add("x-amz-content-sha256", empty);
        assert_eq!(hash.verdict_at(hash.time()), Ok(()), "{form}");
        for stated in ["UNSIGNED-PAYLOAD", "0", ""] {
            stated.clone_into(hash.header("x-amz-content-sha256"));
            assert_eq!(
                hash.verdict_at(hash.time()),
                Err(Refusal::ContentHash),
                "{form} {stated}"
            );
        }
    }
    let mut presigned = Vector::named("list", "query");
    presigned.add("X-Amz-User-Agent", "sdk/1");
    assert_eq!(presigned.verdict_at(presigned.time()), Ok(()));
}

#[test]
fn a_stated_content_hash_is_the_body_s() {
    let name = "post with a content hash";
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for stated in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        empty,
        "",
    ] {
        let refusal = changed(name, "header", |v| {
            *v.header("x-amz-content-sha256") = stated.to_owned();
        });
        assert_eq!(refusal, Refusal::ContentHash, "{stated}");
    }
    assert_eq!(
        changed(name, "header", |vector| vector.body.push(b' ')),
        Refusal::ContentHash
    );
}
