//! What is read from IAM. Deciding is not done here.

pub mod facts;
pub mod whole_answers;
