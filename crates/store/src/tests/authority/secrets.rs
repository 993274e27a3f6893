//! Invitations and tokens: made, used and withdrawn by whoever the dice say.

use openclaw_scopes::{DeviceRole, IdempotencyKey, InvitationId};

use super::names::{ADMIN, meaning, told};
use super::records::{Invitation, No, Token, Who, only_if};
use super::world::{DEVICES, World, set, token_id};
use crate::{CreateInvitation, CreateToken, RedeemInvitation, RevokeInvitation, RevokeToken};

impl World {
    pub(super) async fn invite(&mut self) {
        let ((by, caller), wish) = (self.manager(), self.wish());
        // Often no more than it has.
        let own = &by.scopes & &wish;
        let scopes = if self.below(2) == 0 || own.is_empty() { wish } else { own };
        let (at, expires) = (self.model.invitations.len(), self.model.now + 600_000);
        let made = Invitation {
            scopes: meaning(&scopes),
            issuer: by.who,
            expires,
            is_withdrawn: false,
            redeemed_by: None,
        };
        let ask = CreateInvitation {
            id: InvitationId::parse(&format!("inv_{at}")).unwrap(),
            hash: self.secret(at),
            scopes: set(&scopes),
            expires_at: self.at().saturating_add(std::time::Duration::from_secs(600)),
        };
        let expected = self.model.invite(&by, &made);
        let actual = self.act(&caller, ask).await;
        self.agree("invite", &format!("{} by {by}", told(&scopes)), expected, actual);
    }

    /// By whom it is for, by it again, by another, too late, or without a good one.
    pub(super) async fn redeem(&mut self) {
        let (device, wish) = (self.below(DEVICES), self.wish());
        let is_open = |it: &Invitation| it.redeemed_by.is_none() && !it.is_withdrawn;
        let open = self.model.invitations.iter().rposition(is_open);
        let last = self.model.invitations.len().saturating_sub(self.below(3));
        let invitation = open.filter(|_| self.dice.below(2) == 0).unwrap_or(last);
        let ask = RedeemInvitation {
            hash: self.secret(invitation),
            proven: self.prove(device, DeviceRole::Operator, &wish),
            name: "d".into(),
            address: "192.0.2.7".into(),
        };
        let expected = self.model.redeem(device, invitation);
        let actual = self.act(&Self::doorkeeper(), ask).await;
        self.agree("redeem", &format!("{invitation} by {device}"), expected, actual);
    }

    pub(super) async fn revoke_invitation(&mut self) {
        let (by, caller) = if self.below(2) == 0 { self.manager() } else { self.anyone() };
        let at = self.model.invitations.len().saturating_sub(self.below(4));
        let expected = self.model.revoke_invitation(&by, at);
        let id = InvitationId::parse(&format!("inv_{at}")).unwrap();
        let actual = self.act(&caller, RevokeInvitation(id)).await;
        self.agree("revoke invitation", &format!("{at} by {by}"), expected, actual);
    }

    /// One that is good, one of the last, or one that is not there.
    fn a_token(&mut self) -> usize {
        let live = |at: &usize| self.model.tokens[*at].is_live;
        let live: Vec<_> = (0..self.model.tokens.len()).filter(live).collect();
        let back = self.below(12);
        let last = self.model.tokens.len().saturating_sub(back);
        live.get(back).copied().unwrap_or(last)
    }

    pub(super) async fn issue(&mut self) {
        let ((by, caller), wish) = (self.manager(), self.wish());
        let own = &by.scopes & &wish;
        let scopes = if self.below(2) == 0 || own.is_empty() { wish } else { own };
        let (at, days) = (self.model.tokens.len(), 1 + self.dice.below(60));
        let name = format!("program-{}", self.below(6));
        let expires_at = self.at().saturating_add(std::time::Duration::from_hours(24 * days));
        let made = Token {
            name: name.clone(),
            scopes: meaning(&scopes),
            issuer: by.who,
            expires: expires_at.as_millis(),
            is_live: true,
            epoch: 1,
        };
        let ask = CreateToken {
            idempotency_key: IdempotencyKey::parse(&format!("at-{}", self.model.now)).unwrap(),
            request_digest: [7; 32],
            id: token_id(at),
            name,
            hash: self.bearer(at),
            scopes: set(&scopes),
            expires_at,
        };
        let expected = self.model.issue(&by, &made);
        let actual = self.act(&caller, ask).await;
        self.agree(
            "issue token",
            &format!("{at} with {} by {by}", told(&scopes)),
            expected,
            actual,
        );
    }

    pub(super) async fn revoke_token(&mut self) {
        let ((by, caller), token) = (self.anyone(), self.a_token());
        let expected = self.model.revoke_token(&by, token);
        let actual = self.act(&caller, RevokeToken(token_id(token).to_string())).await;
        self.agree("revoke token", &format!("{token} by {by}"), expected, actual);
    }

    pub(super) async fn show_token(&mut self) {
        let token = self.a_token();
        let known = self.store().token(&self.bearer(token), self.at()).unwrap();
        let found = known.filter(|found| self.at() < found.expires_at).ok_or(No::Failed);
        let is_good = |it: &Token| {
            self.model.now < it.expires && self.model.live(Who::Token(token)).is_some()
        };
        let expected = only_if(self.model.tokens.get(token).is_some_and(is_good));
        if let Some(found) = self.agree("show token", &token.to_string(), expected, found) {
            assert_eq!(found.id, token_id(token));
            self.store().token_used(found.id, self.at()).await.unwrap();
            let all = meaning(&[ADMIN].into());
            self.keep(Who::Token(token), found.grant, &all);
        }
    }
}
