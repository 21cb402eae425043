//! What a person reads who has started it: who may call, what there is to try, and a first call to paste.

use std::fmt::Write;

use crate::{credentials, seed, stack::Stack};

/// For standard error; standard output has the READY line alone.
pub fn text(stack: &Stack) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write(stack, &mut text);
    text
}

fn write(stack: &Stack, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "Instance profiles in arn:aws:iam::123456789012:instance-profile/"
    )?;
    for (name, note) in seed::PROFILES {
        writeln!(text, "  {name:<22} {note}")?;
    }
    writeln!(text, "Access keys, AWS's examples, which open nothing in AWS:")?;
    for (id, secret, note) in credentials::BUILT_IN {
        writeln!(text, "  {id}  {secret}  {note}")?;
    }
    let region = stack
        .variables()
        .get("AWS_REGION")
        .map_or("us-east-1", String::as_str);
    let [(id, secret, _), _] = credentials::BUILT_IN;
    writeln!(text, "A first call, with curl 7.75 or later:")?;
    writeln!(
        text,
        "  curl --aws-sigv4 aws:amz:{region}:execute-api --user {id}:{secret} {}/v1/clusters",
        stack.gateway
    )?;
    writeln!(text, "What happens, live: {}/", stack.page)
}
