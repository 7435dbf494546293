//! What shards tell each other.

/// One message between shards.
#[derive(Debug)]
pub enum BusMessage {}
