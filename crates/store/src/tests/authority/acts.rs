//! What anybody may try: each action with whoever, whatever and whenever the dice say.

use openclaw_scopes::method::{CreateAgent, ReadStatus, StartRun};
use openclaw_scopes::target::{AgentTarget, Listed, SessionTarget, Whole};
use openclaw_scopes::{AgentId, DeviceRole, GrantHolder, PairingId};

use super::super::key;
use super::names::{ADMIN, PAIRING, READ, Scopes, WRITE, meaning, told};
use super::records::{Held, No, State, Who, only_if};
use super::world::{DEVICES, World, request_name, set};
use crate::{
    AdmitDevice, ApproveRequest, DeviceRef, FileRequest, ListDevices, Note, Peek, RejectRequest,
    RemoveDevice, RenameDevice, RenewDevice, RequestUpgrade, RevokeAll, RevokeDevice, RotateDevice,
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;

impl World {
    pub(super) async fn step(&mut self) {
        self.advance(1);
        match self.below(100) {
            0..12 => self.connect().await,
            12..16 => self.wish_anew(),
            16..24 => self.show_token().await,
            24..36 => self.file().await,
            36..42 => self.upgrade().await,
            42..58 => self.approve().await,
            58..61 => self.reject().await,
            61..67 => self.rotate().await,
            67..70 => self.revoke().await,
            70..74 => self.invite().await,
            74..79 => self.redeem().await,
            79..80 => self.revoke_invitation().await,
            80..85 => self.issue().await,
            85..88 => self.revoke_token().await,
            88..94 => self.work().await,
            94..96 => self.renew().await,
            96..97 => self.pose().await,
            97..99 => {
                let spans = [MINUTE, 9 * MINUTE, 61 * MINUTE, DAY, 31 * DAY];
                let span = spans[self.below(spans.len())];
                self.advance(span);
            }
            _ if self.below(4) == 0 => self.restart(),
            _ if self.below(4) == 0 => self.revoke_all().await,
            _ => self.rename().await,
        }
    }

    /// One's own device as often as another.
    fn device_of(&mut self, by: &Held) -> usize {
        match by.who {
            Who::Device(device) if self.below(2) == 0 => device,
            _ => self.below(DEVICES),
        }
    }

    fn device_ref(&self, device: usize) -> DeviceRef {
        DeviceRef::parse(self.ids[device].as_str()).unwrap()
    }

    async fn connect(&mut self) {
        let (device, wish) = (self.below(DEVICES), self.wish());
        let wish = if self.below(2) == 0 { [ADMIN].into() } else { wish };
        let role = if self.below(32) == 0 { DeviceRole::Node } else { DeviceRole::Operator };
        let proven = self.prove(device, role, &wish);
        let ask = AdmitDevice { proven, name: "d".into(), address: "192.0.2.7:1".into() };
        let is_live = self.model.devices[device].is_live;
        let expected = only_if(is_live && role == DeviceRole::Operator);
        let actual = self.act(&Self::doorkeeper(), ask).await;
        let facts = format!("{device} as {role} wishing {}", told(&wish));
        if let Some(admitted) = self.agree("connect", &facts, expected, actual) {
            self.keep(Who::Device(device), admitted.grant, &wish);
        }
    }

    /// A device that is let in, as the identity layer reads its grant again.
    fn wish_anew(&mut self) {
        let (device, wish) = (self.below(DEVICES), self.wish());
        let holder = GrantHolder::Device(self.ids[device].clone());
        let grant = self.store().grant(&holder, set(&wish)).unwrap().ok_or(No::Failed);
        let expected = only_if(self.model.devices[device].is_live);
        if let Some(grant) =
            self.agree("wish", &format!("{device} {}", told(&wish)), expected, grant)
        {
            self.keep(Who::Device(device), grant, &wish);
        }
    }

    async fn file(&mut self) {
        let (device, wish) = (self.below(DEVICES), self.wish());
        let proven = self.prove(device, DeviceRole::Operator, &wish);
        let fresh = self.fresh();
        let ask = FileRequest {
            fresh,
            device: self.ids[device].clone(),
            public_key: proven.public_key(),
            role: DeviceRole::Operator,
            wish: set(&wish),
            name: "d".into(),
            address: "192.0.2.7".into(),
        };
        let expected = self.model.file(device, (&wish, &meaning(&wish)));
        let actual = self.act(&Self::doorkeeper(), ask).await;
        self.agree("file", &format!("{device} {}", told(&wish)), expected, actual);
    }

    fn fresh(&self) -> PairingId {
        PairingId::parse(&request_name(self.model.requests.len())).unwrap()
    }

    async fn upgrade(&mut self) {
        let ((by, caller), wish) = (self.anyone(), self.wish());
        let ask =
            RequestUpgrade { fresh: self.fresh(), scopes: set(&wish), address: "192.0.2.7".into() };
        let expected = self.model.manage(&by, &Scopes::new()).and_then(|()| match by.who {
            Who::Device(device) => self.model.file(device, (&wish, &meaning(&wish))),
            Who::Owner | Who::Token(_) => Err(No::Failed),
        });
        let actual = self.act(&caller, ask).await;
        self.agree("upgrade", &format!("{} by {by}", told(&wish)), expected, actual);
    }

    /// One that waits, one of the last, or one that is not there.
    fn a_request(&mut self) -> usize {
        let all = self.model.requests.len();
        // What was decided a month ago is forgotten when somebody asks: that is no matter of authority.
        let is_recent = |at: &usize| self.model.now < self.model.requests[*at].created + 30 * DAY;
        let recent: Vec<_> = (all.saturating_sub(8)..all).filter(is_recent).collect();
        let waits = |at: &usize| self.model.requests[*at].waits(self.model.now);
        let waiting: Vec<_> = recent.iter().copied().filter(waits).collect();
        let chosen = if self.below(4) == 0 { recent } else { waiting };
        let place = self.below(chosen.len() + 1);
        let place =
            if self.below(4) == 0 { place } else { place.min(chosen.len().saturating_sub(1)) };
        chosen.get(place).copied().unwrap_or(all)
    }

    async fn approve(&mut self) {
        let by = if self.below(2) == 0 { self.manager() } else { self.anyone() };
        let ((by, caller), request) = (by, self.a_request());
        let known = self.model.requests.get(request).cloned();
        let (wish, revision) = known.map_or((Scopes::new(), 1), |it| match it.state {
            State::Approved(granted) if self.below(2) == 0 => (granted, it.revision),
            _ => (it.wish, it.revision),
        });
        // Mostly what was looked at is what is there; mostly all of it is granted.
        let revision = if self.below(12) == 0 { revision + 1 } else { revision };
        let scopes = match self.below(8) {
            0 => self.wish(),
            1..4 => wish.into_iter().filter(|_| self.dice.below(2) == 0).collect(),
            _ => wish,
        };
        let id = PairingId::parse(&request_name(request)).unwrap();
        let ask = ApproveRequest { id, revision, scopes: set(&scopes) };
        let granted = meaning(&scopes);
        let expected = self.model.approve(&by, (request, revision), &granted);
        let actual = self.act(&caller, ask).await;
        let facts = format!("{request}@{revision} with {} by {by}", told(&scopes));
        self.agree("approve", &facts, expected, actual);
    }

    async fn reject(&mut self) {
        let ((by, caller), request) = (self.anyone(), self.a_request());
        let id = PairingId::parse(&request_name(request)).unwrap();
        let expected = self.model.reject(&by, request);
        let actual = self.act(&caller, RejectRequest { id, revision: None }).await;
        self.agree("reject", &format!("{request} by {by}"), expected, actual);
    }

    async fn rotate(&mut self) {
        let (by, caller) = self.anyone();
        let device = self.device_of(&by);
        let Held { scopes: held, .. } = &by;
        let approved = self.model.devices[device].approved.clone();
        let wish = match self.below(4) {
            0 => None,
            1 => Some(self.wish()),
            2 => Some(held & &approved),
            _ => Some(approved.into_iter().filter(|_| self.dice.below(2) == 0).collect()),
        };
        let scopes = wish.as_ref().map(set);
        let ask =
            RotateDevice { device: self.device_ref(device), role: DeviceRole::Operator, scopes };
        let granted = wish.as_ref().map(meaning);
        let expected = self.model.rotate(&by, device, granted.as_ref());
        let actual = self.act(&caller, ask).await;
        self.agree(
            "rotate",
            &format!("{device} to {:?} by {by}", wish.as_ref().map(told)),
            expected,
            actual,
        );
    }

    async fn revoke(&mut self) {
        let (by, caller) = self.anyone();
        let (device, role) = (self.device_of(&by), DeviceRole::Operator);
        let (named, facts) = (self.device_ref(device), format!("{device} by {by}"));
        if self.below(2) == 0 {
            let expected = self.model.revoke(&by, device);
            let actual = self.act(&caller, RevokeDevice { device: named, role }).await;
            self.agree("revoke", &facts, expected, actual);
        } else {
            let expected = self.model.remove(&by, device);
            let actual = self.act(&caller, RemoveDevice { device: named }).await;
            self.agree("remove", &facts, expected, actual);
        }
    }

    async fn revoke_all(&mut self) {
        let (by, caller) = self.anyone();
        let expected = self.model.revoke_all(&by);
        let actual = self.act(&caller, RevokeAll).await;
        self.agree("revoke all", &format!("by {by}"), expected, actual);
    }

    async fn rename(&mut self) {
        let (by, caller) = self.anyone();
        let device = self.device_of(&by);
        let held = self.model.devices[device].approved.clone();
        let expected = self.model.touch(&by, device, &Scopes::new(), &held);
        let expected = expected.and_then(|()| only_if(self.model.devices[device].is_known));
        let ask = RenameDevice { device: self.device_ref(device), label: "renamed".into() };
        let actual = self.act(&caller, ask).await;
        self.agree("rename", &format!("{device} by {by}"), expected, actual);
    }

    /// What all of this is for.
    async fn work(&mut self) {
        let (by, caller) = self.anyone();
        let needs = [ADMIN, PAIRING, READ, WRITE][self.below(4)];
        let actual = match needs {
            ADMIN => {
                let agent = AgentTarget(AgentId::parse("main").unwrap());
                self.act(&caller, Note::<CreateAgent>(agent)).await.map(drop)
            }
            PAIRING => {
                let query = ListDevices { listed: Listed::All, now: self.at() };
                self.view(&caller, &query).await.map(drop)
            }
            READ => self.view(&caller, &Peek::<ReadStatus>(Whole)).await.map(drop),
            _ => {
                let target = SessionTarget::unowned(key("a"));
                self.view(&caller, &Peek::<StartRun>(target)).await.map(drop)
            }
        };
        let expected = match needs {
            PAIRING => self.model.manage(&by, &[needs].into()),
            _ => self.model.work(&by, &[needs].into()),
        };
        self.agree("work", &format!("needing {needs} by {by}"), expected, actual);
    }

    async fn renew(&mut self) {
        let (by, caller) = self.anyone();
        let expected = self.model.manage(&by, &Scopes::new());
        let expected = expected.and_then(|()| only_if(by.who != Who::Owner));
        let renewed = self.view(&caller, &RenewDevice).await;
        if let Some(renewed) = self.agree("renew", &format!("{by}"), expected, renewed) {
            self.keep(by.who, renewed.grant, &by.scopes);
        }
    }

    /// Nobody is the doorkeeper but the gateway itself.
    async fn pose(&mut self) {
        let ((by, caller), wish) = (self.anyone(), self.wish());
        let proven = self.prove(0, DeviceRole::Operator, &wish);
        let (name, address) = (String::new(), "192.0.2.7".to_owned());
        let ask = AdmitDevice { proven, name, address };
        let actual = self.act(&caller, ask).await;
        self.agree("pose", &format!("{by}"), Err(No::Refused), actual);
    }
}
