//! Traffic of many pods, again and again. The host's ends of all pods come in one answer; a pod without one has
//! a socket that was opened inside its namespace once, by a thread that ended, and is asked from anywhere.

use crate::error::NetlinkResult;
use crate::kernel::{IFLA_STATS_LINK_64, RTM_GETSTATS, RTM_NEWSTATS};
use crate::link::{Counters, all, find, read_counters};
use crate::message::{Message, attribute, u32_at};
use crate::netns::{enter, throwaway};
use crate::socket::{Reply, Request, Socket};
use rustix::fs::stat;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Bytes of `struct if_stats_msg`.
const STATS_LEN: usize = 12;
/// The number of the loopback interface in every network namespace.
const LOOPBACK: u32 = 1;
/// Bit of `IFLA_STATS_LINK_64` in a filter.
const LINK_64: u32 = 1 << (IFLA_STATS_LINK_64 - 1);

/// Whose traffic is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficOf {
    /// The host's end of its veth pair; `None`: it is asked from inside.
    pub host_interface: Option<String>,
    /// Its own end's name, for what the host's end tells.
    pub pod_interface: String,
    /// Where its network namespace is pinned.
    pub netns: Option<PathBuf>,
}

/// Interfaces by name with what the pod sees.
pub type Traffic = Vec<(String, Counters)>;

/// Reads traffic. Sockets inside a pod keep its namespace alive: `forget` it when the pod's network ends.
#[derive(Debug)]
pub struct TrafficReader {
    most_inside: usize,
    turn: u64,
    host: Option<Socket>,
    /// Numbers of the host's interfaces by name.
    numbers: HashMap<String, u32>,
    inside: HashMap<PathBuf, Inside>,
}

/// A socket in a pod's network namespace.
#[derive(Debug)]
struct Inside {
    socket: Socket,
    namespace: Namespace,
    last_read: u64,
}

/// Device and inode of a namespace: a pin of the same name may be another one's.
type Namespace = (u64, u64);

impl TrafficReader {
    /// A reader that keeps at most `most_inside` sockets in pods; those longest not read go first.
    pub fn new(most_inside: usize) -> Self {
        Self { most_inside, turn: 0, host: None, numbers: HashMap::new(), inside: HashMap::new() }
    }

    /// The traffic of each pod, in order; `None` for one that has no network any more. Fails only when the host's
    /// interfaces cannot be read.
    pub fn read(&mut self, pods: &[TrafficOf]) -> NetlinkResult<Vec<Option<Traffic>>> {
        self.turn += 1;
        let mut answers = self.by_the_host(pods)?;
        let inside: Vec<usize> = (0..pods.len()).filter(|at| answers[*at].is_none()).collect();
        self.open_inside(inside.iter().filter_map(|at| pods[*at].netns.as_deref()));
        for at in inside {
            answers[at] = pods[at].netns.as_deref().and_then(|netns| self.ask_inside(netns));
        }
        self.drop_the_oldest();
        Ok(answers)
    }

    /// Closes the socket in a pod, if there is one.
    pub fn forget(&mut self, netns: &Path) {
        self.inside.remove(netns);
    }

    /// How many sockets are kept in pods.
    pub fn sockets_inside(&self) -> usize {
        self.inside.len()
    }

    fn by_the_host(&mut self, pods: &[TrafficOf]) -> NetlinkResult<Vec<Option<Traffic>>> {
        let mut answers: Vec<Option<Traffic>> = pods.iter().map(|_| None).collect();
        if pods.iter().all(|pod| pod.host_interface.is_none()) {
            return Ok(answers);
        }
        // one that has failed may hold half an answer: it is not used again
        let mut socket = match self.host.take() {
            Some(socket) => socket,
            None => Socket::route()?,
        };
        let counters = all_counters(&mut socket)?;
        let mut used = HashMap::with_capacity(pods.len());
        for (answer, pod) in answers.iter_mut().zip(pods) {
            let Some(name) = &pod.host_interface else { continue };
            let known = self.numbers.get(name).and_then(|number| Some((*number, *counters.get(number)?)));
            let found = match known {
                Some(found) => Some(found),
                None => find(&mut socket, name)?.map(|link| (link.index, link.counters)),
            };
            if let Some((number, counters)) = found {
                used.insert(name.clone(), number);
                *answer = Some(vec![(pod.pod_interface.clone(), counters.from_the_other_end())]);
            }
        }
        // what a question does not name may be asked for next, and numbers are few bytes: kept while they exist
        self.numbers.retain(|name, number| !used.contains_key(name) && counters.contains_key(number));
        self.numbers.extend(used);
        self.host = Some(socket);
        Ok(answers)
    }

    /// Opens sockets in those pods that have none, on one thread that goes from one to the next and ends.
    fn open_inside<'p>(&mut self, pods: impl Iterator<Item = &'p Path>) {
        let mut wanted = Vec::new();
        for netns in pods {
            let Some(namespace) = namespace_of(netns) else {
                self.inside.remove(netns);
                continue;
            };
            if self.inside.get(netns).is_none_or(|inside| inside.namespace != namespace) {
                wanted.push((netns.to_owned(), namespace));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let opened = throwaway(|| Ok(wanted.into_iter().filter_map(open).collect::<Vec<_>>()));
        // a pod that ends while it is asked has no traffic to report
        self.inside.extend(opened.unwrap_or_default());
    }

    fn ask_inside(&mut self, netns: &Path) -> Option<Traffic> {
        let inside = self.inside.get_mut(netns)?;
        inside.last_read = self.turn;
        match all(&mut inside.socket) {
            Ok(links) => {
                let carrying = links.into_iter().filter(|link| link.index != LOOPBACK);
                Some(carrying.map(|link| (link.name, link.counters)).collect())
            }
            Err(_) => {
                self.inside.remove(netns);
                None
            }
        }
    }

    fn drop_the_oldest(&mut self) {
        while self.inside.len() > self.most_inside {
            let Some(oldest) = self.inside.iter().min_by_key(|(_, i)| i.last_read).map(|(netns, _)| netns.clone())
            else {
                return;
            };
            self.inside.remove(&oldest);
        }
    }
}

fn namespace_of(netns: &Path) -> Option<Namespace> {
    stat(netns).ok().map(|found| (found.st_dev, found.st_ino))
}

fn open((netns, namespace): (PathBuf, Namespace)) -> Option<(PathBuf, Inside)> {
    enter(&netns).ok()?;
    let socket = Socket::route().ok()?;
    Some((netns, Inside { socket, namespace, last_read: 0 }))
}

/// Counters of all interfaces of the socket's namespace by number: a tenth of what listing them costs (RTM_GETSTATS,
/// Linux 4.7).
fn all_counters(socket: &mut Socket) -> NetlinkResult<HashMap<u32, Counters>> {
    let mut body = [0u8; STATS_LEN];
    body[8..12].copy_from_slice(&LINK_64.to_ne_bytes());
    let message = Message::new(RTM_GETSTATS, libc::NLM_F_DUMP, &body);
    let replies = socket.dump(Request::new("count traffic", "RTM_GETSTATS", "", message))?;
    Ok(replies.iter().filter_map(read_stats).collect())
}

/// Reads an RTM_NEWSTATS; `None` for anything else or a damaged one.
pub(crate) fn read_stats(reply: &Reply) -> Option<(u32, Counters)> {
    if reply.kind != RTM_NEWSTATS {
        return None;
    }
    let number = u32_at(&reply.payload, 4)?;
    let counters = attribute(reply.payload.get(STATS_LEN..)?, IFLA_STATS_LINK_64).and_then(read_counters)?;
    Some((number, counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counters_and_refuses_the_rest() {
        let stats: Vec<u8> = (1u64..=24).flat_map(u64::to_ne_bytes).collect();
        let mut body = [0u8; STATS_LEN];
        body[4..8].copy_from_slice(&9u32.to_ne_bytes());
        let bytes = Message::new(RTM_NEWSTATS, 0, &body).attr(IFLA_STATS_LINK_64, &stats).finish(1);
        let reply = |kind, payload: &[u8]| Reply { kind, payload: payload.to_vec() };
        let (number, counters) = read_stats(&reply(RTM_NEWSTATS, &bytes[16..])).expect("counters");
        assert_eq!((number, counters.rx_packets, counters.tx_dropped), (9, 1, 8));
        assert!(read_stats(&reply(RTM_GETSTATS, &bytes[16..])).is_none());
        assert!(read_stats(&reply(RTM_NEWSTATS, &bytes[16..40])).is_none());
    }

    #[test]
    fn a_host_without_pods_is_asked_nothing() {
        let mut reader = TrafficReader::new(1);
        let nowhere = TrafficOf { host_interface: None, pod_interface: "eth0".into(), netns: Some("/none".into()) };
        assert_eq!(reader.read(&[nowhere]).expect("an answer"), [None]);
        let gone = TrafficOf { host_interface: Some("pwnone".into()), pod_interface: "eth0".into(), netns: None };
        assert_eq!(reader.read(&[gone]).expect("an answer"), [None]);
        assert_eq!((reader.sockets_inside(), reader.numbers.len()), (0, 0));
    }
}
