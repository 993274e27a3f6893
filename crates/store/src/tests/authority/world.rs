//! A store beside its model: whatever anybody does is done to both, and both must agree.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use openclaw_pairing::{
    Asks, Bearer, BearerKind, Claim, DeviceKey, Expected, Fingerprint, Hashed, InvitationSecret,
    Nonce, Proven, verify,
};
use openclaw_scopes::target::Listed;
use openclaw_scopes::{
    Caller, Cause, Component, DeviceId, DeviceRole, Epoch, Grant, GrantHolder, Scope, ScopeSet,
    Timestamp, TokenId,
};

use super::super::{Dice, owner};
use super::names::{PAIRING, Scopes, meaning, scope};
use super::records::{Answer, Device, Held, Model, No, Who};
use crate::{ActError, Ask, ListDevices, Options, Query, Store};

/// Devices that take part.
pub(super) const DEVICES: usize = 6;
/// Callers that are remembered, most of them from an epoch that is over.
const KEPT: usize = 20;
/// Actions that are told when something goes wrong.
const TOLD: usize = 20;
const GATEWAY: Fingerprint = Fingerprint([9; 32]);

pub(super) struct World {
    clock: Arc<AtomicI64>,
    dir: tempfile::TempDir,
    store: Option<Store>,
    keys: Vec<DeviceKey>,
    pub(super) ids: Vec<DeviceId>,
    pub(super) dice: Dice,
    pub(super) model: Model,
    kept: Vec<(Held, Caller)>,
    told: VecDeque<String>,
    /// How often each action came to what.
    pub(super) tally: BTreeMap<(&'static str, Answer), u32>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.told.iter().for_each(|action| println!("{action}"));
        }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(memory).or_else(|_none| tempfile::tempdir()).unwrap();
        let keys: Vec<_> = (1..).take(DEVICES).map(|n| DeviceKey::from_seed([n; 32])).collect();
        let keys = keys.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
        let devices = vec![Device::default(); DEVICES];
        let mut world = Self {
            clock: Arc::default(),
            dir,
            store: None,
            ids: keys.iter().map(|key| key.public().device_id().unwrap()).collect(),
            keys,
            dice: Dice(seed),
            model: Model { devices, now: 1_000_000, ..Model::default() },
            kept: Vec::new(),
            told: VecDeque::new(),
            tally: BTreeMap::new(),
        };
        world.restart();
        world
    }

    /// Ends the store and opens it again: what holds, holds after a restart.
    pub(super) fn restart(&mut self) {
        drop(self.store.take());
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)));
        self.store = Some(Store::open(self.dir.path(), &Options::new(clock)).unwrap());
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn advance(&mut self, millis: i64) {
        self.model.now += millis;
        self.clock.store(self.model.now, Ordering::Relaxed);
    }

    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.model.now)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(end).unwrap())).unwrap()
    }

    /// One to three scopes.
    pub(super) fn wish(&mut self) -> Scopes {
        let count = 1 + self.below(3);
        let mut wish = Scopes::new();
        for _ in 0..count {
            // Pairing is what most of this is about.
            wish.insert(scope(if self.below(4) == 0 { 2 } else { self.dice.below(10) }));
        }
        wish
    }

    /// The owner, or somebody who showed who it is, perhaps long ago.
    #[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
    pub(super) fn anyone(&mut self) -> (Held, Caller) {
        let place = self.below(3 * KEPT / 2);
        if let Some(kept) = self.kept.get(place) {
            return kept.clone();
        }
        let epoch = if self.below(16) == 0 { 7 } else { 1 };
        let caller = Caller::assertion(1000, Cause::Request, Epoch(epoch));
        let (_, scopes) = self.model.live(Who::Owner).unwrap();
        (Held { who: Who::Owner, epoch, scopes }, caller)
    }

    /// Mostly a device that may manage others.
    pub(super) fn manager(&mut self) -> (Held, Caller) {
        for _ in 0..8 {
            let (by, caller) = self.anyone();
            if by.who != Who::Owner && self.model.manage(&by, &[PAIRING].into()).is_ok() {
                return (by, caller);
            }
        }
        self.anyone()
    }

    /// Somebody showed who it is, and is told what it may do: exactly what the model says.
    #[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
    pub(super) fn keep(&mut self, who: Who, grant: Grant, wish: &Scopes) {
        let (epoch, live) = self.model.live(who).unwrap();
        let held = Held { who, epoch, scopes: &live & &meaning(wish) };
        assert_eq!((grant.epoch().0, names(grant.scopes())), (epoch, held.scopes.clone()));
        let caller = match who {
            Who::Device(device) => {
                let (id, role) = (self.ids[device].clone(), DeviceRole::Operator);
                Caller::device(id, role, grant, Cause::Request)
            }
            Who::Token(token) => Caller::token(token_id(token), grant, Cause::Request),
            Who::Owner => return,
        };
        if self.kept.len() == KEPT {
            let place = self.below(KEPT);
            self.kept.swap_remove(place);
        }
        self.kept.push((held, caller));
    }

    /// What a device sends to be let in, after the gateway has checked it.
    pub(super) fn prove(&self, device: usize, role: DeviceRole, wish: &Scopes) -> Proven {
        let claim = Claim {
            nonce: Nonce([7; 32]),
            gateway: GATEWAY,
            device: self.ids[device].clone(),
            role,
            wish: set(wish),
            asks: Asks::Nothing,
            at: self.at(),
        };
        let expected = Expected { nonce: Some(claim.nonce), gateway: GATEWAY, now: self.at() };
        let (claim, key) = (claim.encode(), &self.keys[device]);
        if self.model.now % 16 == 0 {
            let another = &self.keys[(device + 1) % DEVICES];
            verify(&claim, &another.sign(&claim), &key.public().0, &expected).unwrap_err();
        }
        verify(&claim, &key.sign(&claim), &key.public().0, &expected).unwrap()
    }

    pub(super) fn bearer(&self, token: usize) -> Hashed {
        let bearer = Bearer::new(BearerKind::Api, [u8::try_from(token % 251).unwrap(); 32]);
        bearer.hash(self.store().hash_key(), &token.to_be_bytes())
    }

    pub(super) fn secret(&self, invitation: usize) -> Hashed {
        let mut secret = InvitationSecret([0; 12]);
        secret.0[..8].copy_from_slice(&invitation.to_be_bytes());
        secret.hash(self.store().hash_key())
    }

    pub(super) fn doorkeeper() -> Caller {
        Caller::system(Component::Doorkeeper, Cause::Request, Epoch(1))
    }

    pub(super) async fn act<A: Ask>(&self, caller: &Caller, ask: A) -> Result<A::Output, No>
    where
        A::Error: Debug,
    {
        self.store().act(caller, ask, self.at()).await.map_err(no)
    }

    pub(super) async fn view<Q: Query>(&self, caller: &Caller, query: &Q) -> Result<Q::Output, No>
    where
        Q::Error: Debug,
    {
        self.store().view(caller, query, self.at()).await.map_err(no)
    }

    /// What the store did is what the model says.
    #[track_caller]
    pub(super) fn agree<T>(
        &mut self,
        action: &'static str,
        facts: &str,
        expected: Answer,
        actual: Result<T, No>,
    ) -> Option<T> {
        let (came, output) = match actual {
            Ok(output) => (Ok(()), Some(output)),
            Err(no) => (Err(no), None),
        };
        self.told.push_back(format!("{:>12} {action} {facts}: {came:?}", self.model.now));
        while self.told.len() > TOLD {
            self.told.pop_front();
        }
        *self.tally.entry((action, came)).or_default() += 1;
        assert_eq!(came, expected, "{action} {facts}");
        output
    }

    /// Everybody may do what the model says, and nobody was told of more than that.
    pub(super) fn check(&self, all: bool) {
        let tokens = self.model.tokens.len();
        let recent = |token: &usize| all || self.model.tokens[*token].is_live || token + 4 > tokens;
        let devices = (0..DEVICES).map(Who::Device);
        for who in devices.chain((0..tokens).filter(recent).map(Who::Token)).chain([Who::Owner]) {
            let holder = match who {
                Who::Device(device) => GrantHolder::Device(self.ids[device].clone()),
                Who::Owner => GrantHolder::Owner,
                Who::Token(token) => GrantHolder::Token(token_id(token)),
            };
            let grant = self.store().grant(&holder, ScopeSet::ALL).unwrap();
            let grant = grant.map(|grant| (grant.epoch().0, names(grant.scopes())));
            assert_eq!(grant, self.model.live(who), "{who:?}");
        }
        for (held, _) in &self.kept {
            if let Some((epoch, now)) = self.model.live(held.who) {
                assert!(epoch != held.epoch || held.scopes.is_subset(&now), "{held}: {now:?}");
            }
        }
    }

    /// Devices and requests are as the model says, and the log holds.
    pub(super) async fn look(&self) {
        self.check(true);
        let query = ListDevices { listed: Listed::All, now: self.at() };
        let list = self.store().view(&owner(), &query, self.at()).await.unwrap();
        for (device, id) in self.model.devices.iter().zip(&self.ids) {
            let found = list.devices.iter().find(|found| found.id == *id);
            let found = found.map(|found| {
                let baseline = found.baseline;
                let (approved, granted) = (names(baseline.approved()), names(baseline.granted()));
                (found.revoked_at.is_none(), found.epoch.0, approved, granted)
            });
            let Device { is_live, epoch, approved, granted, .. } = device.clone();
            assert_eq!(found, device.is_known.then_some((is_live, epoch, approved, granted)));
        }
        let waiting = list.pending.iter().map(|view| {
            let wish = view.pending.wish;
            (view.pending.id.to_string(), wish.revision, meaning(&names(wish.scopes)))
        });
        let requests =
            self.model.requests.iter().enumerate().filter(|(_, it)| it.waits(self.model.now));
        let requests = requests.map(|(at, it)| (request_name(at), it.revision, it.wish.clone()));
        assert_eq!(waiting.collect::<Vec<_>>(), requests.collect::<Vec<_>>());
        assert_eq!(self.store().verify_audit(None).unwrap().findings, []);
    }
}

fn no<E: Debug>(error: ActError<E>) -> No {
    match error {
        ActError::Denied(_) => No::Refused,
        ActError::Failed(_) => No::Failed,
        ActError::Store(error) => panic!("{error}"),
    }
}

pub(super) fn set(scopes: &Scopes) -> ScopeSet {
    ScopeSet::parse(&scopes.iter().copied().collect::<Vec<_>>().join(" ")).unwrap()
}

fn names(scopes: ScopeSet) -> Scopes {
    scopes.iter().map(Scope::name).collect()
}

pub(super) fn request_name(request: usize) -> String {
    format!("pr_{request:07}")
}

pub(super) fn token_id(token: usize) -> TokenId {
    TokenId::parse(&format!("tok_{token}")).unwrap()
}
