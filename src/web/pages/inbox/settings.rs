//! `/inbox/settings`: how the person wants to be told, and whose words they do not want.

use std::sync::Arc;

use crate::{
    crypto::digest::Digest,
    http::{
        params::Params,
        request::Request,
        response::{Response, see_other},
    },
    model::{
        id::Id,
        notification::{Methods, NotificationSettings, Template},
    },
    notifications::{self, TEMPLATES},
    store::{Read, StoreError, notifications as kept, pushes},
    web::{
        Web,
        credentials::Caller,
        pages::{
            account::signed_form,
            inbox::{
                app_name, live_page, notice, origin,
                views::{InboxSettingsPage, MutedRow, PushView, SwitchRow},
            },
            message,
            render::frame,
        },
        push::PushOff,
        refusals,
    },
};

/// What a form did, by the word that stands in the address afterwards.
const NOTICES: [(&str, &str); 2] = [
    ("saved", "That is how you are told from now on."),
    ("unmuted", "The app can tell you things again."),
];

/// `GET /inbox/settings`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return message::signed_out(&web, head);
    };
    let found = web.store.read(|tx| {
        let settings = kept::settings(tx, live.user.id)?;
        Ok::<_, StoreError>((
            switches(&settings),
            muted(tx, &settings)?,
            push_view(&web, tx, live.user.id)?,
        ))
    });
    match found {
        Err(fault) => refusals::fault(&web, head, &fault),
        Ok((switches, muted, push)) => live_page(&InboxSettingsPage {
            frame: frame(&web, Some(&live)),
            csrf_token: web.csrf_token(live.session.id),
            push,
            switches,
            muted,
            notice: notice(head, &NOTICES),
        }),
    }
}

fn switches(settings: &NotificationSettings) -> Vec<SwitchRow> {
    let rows = TEMPLATES.iter().map(|row| {
        let Methods { inbox, push } = notifications::methods(settings, row.template);
        SwitchRow {
            template: row.template.as_str(),
            words: row.name,
            inbox,
            push,
        }
    });
    rows.collect()
}

fn muted(tx: &dyn Read, settings: &NotificationSettings) -> Result<Vec<MutedRow>, StoreError> {
    let rows = settings.muted.iter().map(|id| {
        Ok(MutedRow {
            id: id.to_string(),
            name: app_name(tx, *id)?,
        })
    });
    rows.collect()
}

/// Whether devices are told at all, and why not.
fn push_view(web: &Web, tx: &dyn Read, user_id: Id) -> Result<PushView, StoreError> {
    Ok(match web.push_off() {
        Some(PushOff::Egress) => PushView::Off(
            "This box calls no other server (--egress off), so it reaches devices only while a \
             page of it is open. The inbox works all the same.",
        ),
        Some(PushOff::Experiment(_)) => PushView::Off(
            "Telling devices is an experiment that is off here. An owner of the box turns it on by \
             starting Keystead with --experiments web-push.",
        ),
        None => match web.vouchers.public_key(tx)? {
            None => PushView::Off("This box has no key yet by which push services know it."),
            Some(key) => PushView::On {
                key,
                told: told(tx, user_id)?,
            },
        },
    })
}

/// The browsers in which the person is told: by digests, since whoever has an endpoint can send to
/// it. By them the page knows whether its browser is one: it may be somebody else's who signed in
/// with it, or one that a restored data file knows nothing of.
fn told(tx: &dyn Read, user_id: Id) -> Result<String, StoreError> {
    let browsers = pushes::list_of_user(tx, user_id)?.into_iter();
    let digests = browsers.map(|one| Digest::of(one.endpoint.as_str().as_bytes()).to_hex());
    Ok(digests.collect::<Vec<_>>().join(" "))
}

/// `POST /inbox/settings`: how the person is told about each template that the form has.
pub async fn switch(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let wanted = wanted(&form);
    let user_id = live.user.id;
    let saved = web.write(origin(head, &live), move |tx, _| {
        for (template, methods) in wanted {
            notifications::switch(tx, user_id, template, methods)?;
        }
        Ok::<_, StoreError>(())
    });
    match saved.await {
        Ok(()) => see_other("/inbox/settings?done=saved"),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}

/// A box that is not ticked is not sent, so the form names the templates that it has: one of a
/// later release stays as it is.
fn wanted(form: &Params) -> Vec<(Template, Methods)> {
    let (inbox, push) = (form.all("inbox"), form.all("push"));
    let templates = form.all("template").into_iter().filter_map(Template::find);
    let wanted = templates.map(|template| {
        let name = template.as_str();
        let methods = Methods {
            inbox: inbox.contains(&name),
            push: push.contains(&name),
        };
        (template, methods)
    });
    wanted.collect()
}

/// `POST /inbox/settings/unmute`.
pub async fn unmute(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(response) => return response,
    };
    let head = &request.head;
    let client_id = form.get("client_id").ok().flatten();
    // An id that cannot be is one that is not muted.
    let Some(client_id) = client_id.and_then(|id| id.parse::<Id>().ok()) else {
        return see_other("/inbox/settings");
    };
    let user_id = live.user.id;
    let unmuted = web.write(origin(head, &live), move |tx, _| {
        notifications::unmute(tx, user_id, client_id)
    });
    match unmuted.await {
        Ok(()) => see_other("/inbox/settings?done=unmuted"),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}
