//! What is read from and written to IAM. Deciding is not done here.

pub mod facts;
pub mod own;
pub mod roles;
pub mod whole_answers;
