//! What is fuzzed of this crate (`native/fuzz`).

use crate::conntrack;
use crate::kernel::HEADER_LEN;
use crate::link::{get_link, read_link};
use crate::message::{Message, messages};
use crate::route::default_route;
use crate::socket::{Collecting, Reply, Request};
use crate::traffic::read_stats;

/// What the kernel says to three requests of the sequence numbers 1 to 3: nothing is longer than what came, and every
/// reply is read as everything that it could be.
///
/// # Panics
/// What must not be.
pub fn netlink_replies(bytes: &[u8]) {
    let dump = Request::new("list", "dump", "", Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; 16]));
    let requests = [get_link("eth0"), dump.clone().tolerating(&[libc::ENOENT]), dump];
    let mut collecting = Collecting::new(1, &requests);
    if collecting.take(bytes).is_ok()
        && let Ok(answers) = collecting.finish()
    {
        let replies: Vec<&Reply> = answers.iter().flat_map(|answer| &answer.replies).collect();
        let length: usize = replies.iter().map(|reply| reply.payload.len() + HEADER_LEN).sum();
        assert!(length <= bytes.len(), "{length} of {}", bytes.len());
        replies.into_iter().for_each(read);
    }
    // also where the frame around it would be refused
    for message in messages(bytes).flatten() {
        read(&Reply { kind: message.kind, payload: message.payload.to_vec() });
    }
}

fn read(reply: &Reply) {
    if let Some(link) = read_link(reply) {
        assert!(link.name.len() <= 3 * reply.payload.len() && link.mac.len() <= reply.payload.len());
    }
    let _ = (read_stats(reply), default_route(&reply.payload));
    if let Some(request) = conntrack::fuzzed(reply) {
        let sent = request.finish(7);
        let told: Vec<_> = messages(&sent).map(|message| message.map(|m| m.sequence)).collect();
        assert_eq!(told, [Some(7)], "one whole message");
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_netlink_replies() {
        assert!(super::replay::replay("netlink_replies", super::netlink_replies) > 0);
    }
}
