//! Turns one of the contract's patterns into a table that `src/contract/pattern.rs` runs.
//!
//! The contract writes patterns as OpenAPI wants them (ECMA 262), PCS's model as Java does. Both mean ASCII by
//! `\w`, `\d` and `\S`, and both may begin with a negative look-ahead, which a finite automaton cannot express:
//! it becomes a table of its own that must *not* match at the start.
//!
//! The table is a Thompson NFA, not a DFA: the pattern of instance profile ARNs, `([!-~]{1,510}/)?...{1,128}`, has
//! more DFA states than can be built, but only some 1,300 NFA states.

use regex_automata::{
    nfa::thompson::{Config, NFA, State, WhichCaptures},
    util::primitives::StateID,
    util::syntax,
};

/// Rust expressions of type `Automaton`.
pub struct Automata {
    /// The whole value must match this.
    pub accepts: String,
    /// No prefix of the value may match this.
    pub refuses_prefix: Option<String>,
}

pub fn compile(pattern: &str) -> Result<Automata, String> {
    let inner = pattern
        .strip_prefix('^')
        .and_then(|rest| rest.strip_suffix('$'))
        .ok_or_else(|| format!("pattern `{pattern}` is not anchored by ^ and $"))?;
    let (refused, accepted) = split_lookahead(inner)?;
    Ok(Automata {
        accepts: automaton(accepted)?,
        refuses_prefix: refused.map(automaton).transpose()?,
    })
}

/// `(?!pcs_)rest` -> (`pcs_`, `rest`). The look-ahead itself may not contain parentheses.
fn split_lookahead(inner: &str) -> Result<(Option<&str>, &str), String> {
    let Some(rest) = inner.strip_prefix("(?!") else {
        return Ok((None, inner));
    };
    let (ahead, accepted) = rest
        .split_once(')')
        .ok_or_else(|| format!("unclosed look-ahead in `{inner}`"))?;
    if ahead.contains('(') {
        return Err(format!("look-ahead with a group in `{inner}`"));
    }
    Ok((Some(ahead), accepted))
}

fn automaton(pattern: &str) -> Result<String, String> {
    let fault = |error: &dyn std::fmt::Display| format!("pattern `{pattern}`: {error}");
    let nfa = NFA::compiler()
        .configure(Config::new().utf8(false).which_captures(WhichCaptures::None))
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(pattern)
        .map_err(|error| fault(&error))?;
    let states: Vec<String> = nfa
        .states()
        .iter()
        .map(emit)
        .collect::<Result<_, _>>()
        .map_err(|error| fault(&error))?;
    Ok(format!(
        "Automaton {{ start: {}, states: &[{}] }}",
        nfa.start_anchored().as_u32(),
        states.join(", ")
    ))
}

fn emit(state: &State) -> Result<String, String> {
    Ok(match state {
        State::ByteRange { trans } => format!("State::Bytes(&[{}])", range(*trans)),
        State::Sparse(sparse) => {
            let ranges: Vec<String> = sparse
                .transitions
                .iter()
                .map(|transition| range(*transition))
                .collect();
            format!("State::Bytes(&[{}])", ranges.join(", "))
        }
        State::Union { alternates } => {
            let targets: Vec<u32> = alternates.iter().map(StateID::as_u32).collect();
            format!("State::Either(&{targets:?})")
        }
        State::BinaryUnion { alt1, alt2 } => {
            format!("State::Either(&[{}, {}])", alt1.as_u32(), alt2.as_u32())
        }
        State::Capture { next, .. } => format!("State::Either(&[{}])", next.as_u32()),
        State::Match { .. } => "State::Match".to_owned(),
        State::Fail => "State::Either(&[])".to_owned(),
        State::Dense(_) => return Err("a dense state".to_owned()),
        State::Look { look, .. } => {
            return Err(format!("look-around `{}` inside the pattern", look.as_char()));
        }
    })
}

fn range(transition: regex_automata::nfa::thompson::Transition) -> String {
    format!(
        "({}, {}, {})",
        transition.start,
        transition.end,
        transition.next.as_u32()
    )
}
