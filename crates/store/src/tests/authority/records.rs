//! What the model knows of who holds what, and who may do something with it.

use std::fmt;

use super::names::{ADMIN, PAIRING, Scopes, meaning, told};

/// Everything that was handed out, and what waits for a decision.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) devices: Vec<Device>,
    pub(super) requests: Vec<Request>,
    pub(super) invitations: Vec<Invitation>,
    pub(super) tokens: Vec<Token>,
    pub(super) now: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Device {
    /// Whether it was paired, and not forgotten since.
    pub(super) is_known: bool,
    pub(super) is_live: bool,
    pub(super) epoch: u64,
    pub(super) approved: Scopes,
    pub(super) granted: Scopes,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) device: usize,
    pub(super) is_upgrade: bool,
    pub(super) wish: Scopes,
    pub(super) revision: u32,
    pub(super) created: i64,
    pub(super) state: State,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum State {
    Approved(Scopes),
    Rejected,
    Waiting,
}

#[derive(Clone, Debug)]
pub(super) struct Invitation {
    pub(super) scopes: Scopes,
    pub(super) issuer: Who,
    pub(super) expires: i64,
    pub(super) is_withdrawn: bool,
    pub(super) redeemed_by: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) name: String,
    pub(super) scopes: Scopes,
    pub(super) issuer: Who,
    pub(super) expires: i64,
    pub(super) is_live: bool,
    pub(super) epoch: u64,
}

/// A request, and the revision that was looked at.
pub(super) type Named = (usize, u32);

/// Whose authority it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Who {
    Device(usize),
    Owner,
    Token(usize),
}

/// Somebody who showed who it is, and what it was told then.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) who: Who,
    pub(super) epoch: u64,
    pub(super) scopes: Scopes,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of epoch {} with {}", self.who, self.epoch, told(&self.scopes))
    }
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum No {
    /// There is nothing that it could be done to.
    Failed,
    /// Whoever asks has not the authority.
    Refused,
}

/// Whether something is done.
pub(super) type Answer = Result<(), No>;

/// Done if it makes sense.
pub(super) fn only_if(makes_sense: bool) -> Answer {
    if makes_sense { Ok(()) } else { Err(No::Failed) }
}

impl Request {
    pub(super) fn has_lapsed(&self, now: i64) -> bool {
        now >= self.created + 3_600_000
    }

    /// What was taken is no more asked for by what asked before.
    pub(super) fn lose(&mut self, lost: &Scopes) {
        let left = meaning(&(&self.wish - lost));
        self.revision += u32::from(left != self.wish);
        self.wish = left;
    }

    pub(super) fn waits(&self, now: i64) -> bool {
        self.state == State::Waiting && !self.has_lapsed(now)
    }
}

impl Model {
    /// What somebody may do now, and since which epoch.
    pub(super) fn live(&self, who: Who) -> Option<(u64, Scopes)> {
        match who {
            Who::Owner => Some((1, meaning(&[ADMIN].into()))),
            Who::Device(device) => {
                let device = &self.devices[device];
                device.is_live.then(|| (device.epoch, device.granted.clone()))
            }
            Who::Token(token) => {
                let token = &self.tokens[token];
                let (_, bound) = self.live(token.issuer)?;
                token.is_live.then(|| (token.epoch, &token.scopes & &bound))
            }
        }
    }

    /// Only as of now, and only with every scope.
    pub(super) fn work(&self, by: &Held, needs: &Scopes) -> Answer {
        let is_live = self.live(by.who).is_some_and(|(epoch, _)| epoch == by.epoch);
        let may = is_live && meaning(needs).is_subset(&by.scopes);
        if may { Ok(()) } else { Err(No::Refused) }
    }

    /// Handing out and taking away is for no token.
    pub(super) fn manage(&self, by: &Held, needs: &Scopes) -> Answer {
        if matches!(by.who, Who::Token(_)) { Err(No::Refused) } else { self.work(by, needs) }
    }

    /// About oneself `own` will do; about others it takes pairing as well, and all that they hold.
    pub(super) fn touch(&self, by: &Held, device: usize, own: &Scopes, held: &Scopes) -> Answer {
        let others = &(own | held) | &[PAIRING].into();
        self.manage(by, if by.who == Who::Device(device) { own } else { &others })
    }

    /// What is not there can be asked about by whoever manages.
    pub(super) fn unknown(&self, by: &Held) -> Answer {
        self.manage(by, &[PAIRING].into()).and(Err(No::Failed))
    }
}
