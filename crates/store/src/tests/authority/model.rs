//! What should come of everything anybody does about authority, in the simplest terms.

use super::names::{ADMIN, PAIRING, Scopes};
use super::records::{
    Answer, Device, Held, Invitation, Model, Named, No, Request, State, Token, Who, only_if,
};

impl Model {
    /// Asks for what is named, which means more by what that implies.
    pub(super) fn file(&mut self, device: usize, (named, wish): (&Scopes, &Scopes)) -> Answer {
        let Device { approved, granted, is_live: is_upgrade, .. } = self.devices[device].clone();
        only_if(!wish.is_subset(&approved) && named.is_disjoint(&(&approved - &granted)))?;
        let wish = &granted | wish;
        let is_same = |it: &&mut Request| it.device == device && it.is_upgrade == is_upgrade;
        match self.requests.iter_mut().rev().find(is_same) {
            Some(it) if it.waits(self.now) => {
                it.revision += u32::from(it.wish != wish);
                it.wish = wish;
                return Ok(());
            }
            // What was turned down is not asked for again while it could still wait.
            Some(it) if it.state == State::Rejected && (!is_upgrade || it.wish == wish) => {
                only_if(it.has_lapsed(self.now))?;
            }
            _ => {}
        }
        let (revision, created, state) = (1, self.now, State::Waiting);
        self.requests.push(Request { device, is_upgrade, wish, revision, created, state });
        Ok(())
    }

    pub(super) fn approve(&mut self, by: &Held, named: Named, scopes: &Scopes) -> Answer {
        self.manage(by, &(scopes | &[PAIRING].into()))?;
        let it = self.requests.get_mut(named.0).ok_or(No::Failed)?;
        let (at, device) = (it.device, &self.devices[it.device]);
        if let State::Approved(granted) = &it.state {
            return only_if(granted == scopes && it.revision == named.1 && device.is_known);
        }
        only_if(it.waits(self.now) && it.revision == named.1 && it.is_upgrade == device.is_live)?;
        only_if(scopes.is_subset(&it.wish) && !scopes.is_subset(&device.granted))?;
        it.state = State::Approved(scopes.clone());
        self.admit(at, scopes);
        Ok(())
    }

    /// Whoever was paired before keeps what it has; whoever was not begins with this.
    fn admit(&mut self, device: usize, scopes: &Scopes) {
        let device = &mut self.devices[device];
        if !device.is_live {
            let epoch = device.epoch + 1;
            *device = Device { is_known: true, is_live: true, epoch, ..Device::default() };
        }
        device.approved.extend(scopes);
        device.granted.extend(scopes);
    }

    pub(super) fn reject(&mut self, by: &Held, request: usize) -> Answer {
        let Some(it) = self.requests.get(request) else { return self.unknown(by) };
        self.touch(by, it.device, &Scopes::new(), &Scopes::new())?;
        only_if(it.waits(self.now) || it.state == State::Rejected)?;
        self.requests[request].state = State::Rejected;
        Ok(())
    }

    pub(super) fn rotate(&mut self, by: &Held, device: usize, wish: Option<&Scopes>) -> Answer {
        let it = self.devices[device].clone();
        self.touch(by, device, wish.unwrap_or(&Scopes::new()), &it.approved)?;
        let granted = wish.unwrap_or(&it.granted).clone();
        only_if(it.is_live && granted.is_subset(&it.approved))?;
        // What was issued from more than is left is asked for anew.
        let is_less = !it.granted.is_subset(&granted);
        let issued = |token: &&mut Token| token.is_live && token.issuer == Who::Device(device);
        self.tokens.iter_mut().filter(issued).for_each(|token| token.epoch += u64::from(is_less));
        let lost = &it.granted - &granted;
        let asked = |it: &&mut Request| it.device == device && it.is_upgrade && it.waits(self.now);
        self.requests.iter_mut().filter(asked).for_each(|it| it.lose(&lost));
        self.devices[device] = Device { epoch: it.epoch + 1, granted, ..it };
        Ok(())
    }

    pub(super) fn revoke(&mut self, by: &Held, device: usize) -> Answer {
        let it = self.devices[device].clone();
        self.touch(by, device, &Scopes::new(), &it.approved)?;
        only_if(it.is_known)?;
        if it.is_live {
            self.withdraw(Who::Device(device));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, by: &Held, device: usize) -> Answer {
        self.revoke(by, device)?;
        self.withdraw(Who::Device(device));
        self.devices[device].is_known = false;
        Ok(())
    }

    pub(super) fn revoke_all(&mut self, by: &Held) -> Answer {
        self.manage(by, &[ADMIN].into())?;
        self.withdraw(Who::Owner);
        (0..self.devices.len()).for_each(|device| self.withdraw(Who::Device(device)));
        Ok(())
    }

    /// What somebody holds, asked for and handed out.
    fn withdraw(&mut self, who: Who) {
        if let Who::Device(device) = who {
            let Device { is_known, is_live, epoch, .. } = self.devices[device];
            let epoch = epoch + u64::from(is_live);
            self.devices[device] = Device { is_known, epoch, ..Device::default() };
            let all =
                self.requests.iter_mut().filter(|it| it.device == device && it.waits(self.now));
            all.for_each(|it| it.state = State::Rejected);
        }
        let made = self.invitations.iter_mut().filter(|it| it.issuer == who);
        let now = self.now;
        made.for_each(|it| it.is_withdrawn |= it.redeemed_by.is_none() && now < it.expires);
        for token in self.tokens.iter_mut().filter(|it| it.is_live && it.issuer == who) {
            (token.is_live, token.epoch) = (false, token.epoch + 1);
        }
    }

    pub(super) fn invite(&mut self, by: &Held, invitation: &Invitation) -> Answer {
        self.manage(by, &(&invitation.scopes | &[PAIRING].into()))?;
        self.invitations.push(invitation.clone());
        Ok(())
    }

    pub(super) fn redeem(&mut self, device: usize, invitation: usize) -> Answer {
        let it = self.invitations.get(invitation).cloned().ok_or(No::Failed)?;
        if it.redeemed_by == Some(device) {
            return Ok(());
        }
        only_if(it.redeemed_by.is_none() && !it.is_withdrawn && self.now < it.expires)?;
        let needs = &it.scopes | &[PAIRING].into();
        only_if(self.live(it.issuer).is_some_and(|(_, held)| needs.is_subset(&held)))?;
        self.invitations[invitation].redeemed_by = Some(device);
        self.admit(device, &it.scopes);
        Ok(())
    }

    pub(super) fn revoke_invitation(&mut self, by: &Held, invitation: usize) -> Answer {
        let Some(it) = self.invitations.get(invitation).cloned() else { return self.unknown(by) };
        self.manage(by, &(&it.scopes | &[PAIRING].into()))?;
        only_if(it.is_withdrawn || (it.redeemed_by.is_none() && self.now < it.expires))?;
        self.invitations[invitation].is_withdrawn = true;
        Ok(())
    }

    pub(super) fn issue(&mut self, by: &Held, token: &Token) -> Answer {
        self.manage(by, &(&token.scopes | &[PAIRING].into()))?;
        only_if(!self.tokens.iter().any(|it| it.is_live && it.name == token.name))?;
        self.tokens.push(token.clone());
        Ok(())
    }

    pub(super) fn revoke_token(&mut self, by: &Held, token: usize) -> Answer {
        let Some(it) = self.tokens.get(token).cloned() else { return self.unknown(by) };
        self.manage(by, &(&it.scopes | &[PAIRING].into()))?;
        self.tokens[token] =
            Token { is_live: false, epoch: it.epoch + u64::from(it.is_live), ..it };
        Ok(())
    }
}
