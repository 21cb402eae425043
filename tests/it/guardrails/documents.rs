//! Documents that cannot be judged, and what a refusal adds to what its caller gave: nothing.

use super::*;

/// What a caller did not give, a path of a role or of a profile, a refusal does not add.
#[tokio::test]
async fn a_guessed_name_is_not_completed() {
    let world = World::start().await;
    world.cluster().await;
    let seed = Seed::new()
        .role(Role::new("payroll").path("/finance/"))
        .instance_profile(InstanceProfile::new("payroll").path("/hidden/").role("payroll"));
    world.stack.iam_emulator.seed(seed).unwrap();
    for (name, rule) in [
        ("payroll", "profile-arn"),
        ("hidden/PAYROLL", "profile-arn"),
        ("hidden/payroll", "role-name"),
    ] {
        let answer = check_denied(&world, &create_with(&profile(name)), &[rule]).await;
        let told = answer.body.to_string();
        assert!(!told.contains("finance"), "{told}");
        assert!(!told.contains("hidden/payroll"), "{told}");
    }
}

/// A rule that passes over an element decides about another document than IAM, if IAM takes it.
#[tokio::test]
async fn a_document_with_an_element_that_iam_does_not_have_is_refused() {
    let world = World::with(&[("PCS_API_ALLOWED_INLINE_ACTIONS", "s3:GetObject")]).await;
    world.cluster().await;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let inline =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    let trusts = [
        (
            r#""principal":{"AWS":"*"},"Principal":"#,
            "Statement[0].principal",
        ),
        (
            r#""Principal":{"AWS":"*"},"Principal":"#,
            "says `Statement[0].Principal` twice",
        ),
        (r#""Foo":{"AWS":"*"},"Principal":"#, "Statement[0].Foo"),
    ];
    let inlines = [
        (r#""action":"*","Action":"#, "Statement[0].action"),
        (r#""Action":"*","Action":"#, "says `Statement[0].Action` twice"),
        (r#""effect":"Allow","Action":"#, "Statement[0].effect"),
    ];
    let trusts = trusts.map(|(new, told)| {
        (
            trust.replace(r#""Principal":"#, new),
            inline.to_owned(),
            "trust-policy",
            told,
        )
    });
    let inlines = inlines.map(|(new, told)| {
        (
            trust.to_owned(),
            inline.replace(r#""Action":"#, new),
            "inline-policy",
            told,
        )
    });
    let second = inline.replacen('{', r#"{"statement":[],"#, 1);
    let denying = inline.replace(r#""Effect":"Allow""#, r#""effect":"Allow","Effect":"Deny""#);
    let more = [
        (trust.to_owned(), second, "inline-policy", "`statement`"),
        (trust.to_owned(), denying, "inline-policy", "Statement[0].effect"),
    ];
    for (index, (trust, inline, rule, told)) in trusts.into_iter().chain(inlines).chain(more).enumerate() {
        let name = format!("AWSPCS-form-{index}");
        let document =
            |text: String| -> iam_emulator::Document { serde_json::from_value(json!(text)).unwrap() };
        let role = Role::new(&name)
            .trust(document(trust))
            .inline("form", document(inline));
        let seed = Seed::new()
            .role(role)
            .instance_profile(InstanceProfile::new(&name).role(&name));
        world.stack.iam_emulator.seed(seed).unwrap();
        let answer = check_denied(&world, &create_with(&profile(&name)), &[rule]).await;
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
        assert!(!message.contains("nobody else"), "{message}");
    }
}
