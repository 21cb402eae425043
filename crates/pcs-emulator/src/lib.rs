//! AWS Parallel Computing Service (PCS) on the wire, without AWS.
//!
//! [`Emulator::handle`] turns one `awsJson1_0` request into one answer, with no port and no task;
//! [`Emulator::serve`] is the same behind a listener. State is plain data ([`Options::data_dir`] keeps it
//! on disk), and a status is a function of the stored end of its transition and the emulator's clock, so
//! nothing runs in the background and a test can move time ([`Emulator::advance`]).
//!
//! What PCS accepts comes from data (`model/`), so that a new member of PCS's model needs no code here.
//! What nobody outside AWS knows is listed in the README with the default taken and its switch.

mod action;
mod clock;
mod clusters;
mod context;
mod control;
mod defaults;
mod dispatch;
mod emulator;
mod error;
mod faults;
mod gres;
mod health_checks;
mod instance_profile;
mod job_submit_plugins;
mod lifecycle;
mod model;
mod node_groups;
mod options;
mod pattern;
mod queues;
mod record;
mod register;
#[cfg(feature = "sdk")]
mod sdk;
mod server;
mod setting_lists;
mod setting_values;
mod settings;
#[cfg(feature = "signatures")]
mod signature;
mod soundness;
mod state;
mod store;
mod tags;
mod tokens;
mod validate;
mod wire;

pub use emulator::{Emulator, ReceivedCall};
pub use error::{LoadError, StartError};
pub use faults::{Effect, Fault};
#[cfg(feature = "signatures")]
pub use options::Credentials;
pub use options::{
    ClosedRegion, DeletedIds, EmptySettings, GroupNames, HttpStatuses, InstanceProfiles, ListOrder, Options,
    PluginNames, PluginUpdate, QueueUpdate, ResourceTypes, TokenReuse, UnknownIds, UnknownNames,
    UnseenProfiles, UnsetDefaults,
};
pub use wire::Reply;
