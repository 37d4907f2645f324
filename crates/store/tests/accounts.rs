//! Who may come in.

use watchbell_store::{NewAudit, NewPerson, NewToken, Page, Session, StoreError};

use crate::both::on_both;
use crate::examples::*;

fn person(name: &str) -> NewPerson {
    NewPerson { name: name.into(), password_hash: "argon2 of a password".into(), role: "admin".into() }
}

fn session(person: i64, token: &[u8]) -> Session {
    Session {
        token_hash: token.to_vec(),
        person,
        created_at: at(0),
        seen_at: at(0),
        expires_at: at(1000),
        agent: "Firefox".into(),
    }
}

#[test]
fn of_a_hundred_who_want_to_be_the_first_one_is() {
    on_both(async |fixture| {
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                let store = fixture.store.clone();
                tokio::spawn(async move { store.create_first_person(&person(&format!("p{n}")), at(0)).await.unwrap() })
            })
            .collect();
        let mut first = Vec::new();
        for task in tasks {
            first.extend(task.await.unwrap());
        }
        assert_eq!(first.len(), 1);
        assert_eq!(fixture.store.persons().await.unwrap(), first);
    });
}

#[test]
fn nobody_is_the_first_where_somebody_was_made_otherwise() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let ada = store.create_person(&person("ada"), at(0)).await.unwrap();
        assert_eq!(store.create_first_person(&person("eve"), at(1)).await.unwrap(), None);
        assert!(store.delete_person(ada.id).await.unwrap());
        assert_eq!(store.create_first_person(&person("eve"), at(2)).await.unwrap(), None);
    });
}

#[test]
fn a_name_is_one_persons() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let ada = store.create_person(&person("ada"), at(0)).await.unwrap();
        let error = store.create_person(&person("ada"), at(0)).await.unwrap_err();
        assert_eq!(error, StoreError::Taken("there is a person called `ada` already".into()));
        assert_eq!(store.person_by_name("ada").await.unwrap(), Some(ada.clone()));
        assert_eq!(store.person_by_name("Ada").await.unwrap(), None);
        assert!(store.set_role(ada.id, "viewer").await.unwrap());
        assert_eq!(store.person(ada.id).await.unwrap().unwrap().role, "viewer");
        assert!(!store.set_role(ada.id + 1, "viewer").await.unwrap());
    });
}

#[test]
fn a_session_is_found_until_it_expires_or_is_revoked() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let ada = store.create_person(&person("ada"), at(0)).await.unwrap();
        let first = session(ada.id, b"one");
        store.put_session(&first).await.unwrap();
        store.put_session(&session(ada.id, b"two")).await.unwrap();
        store.put_session(&session(ada.id, b"three")).await.unwrap();
        assert_eq!(store.find_session(b"one", at(999)).await.unwrap(), Some((first, ada.clone())));
        assert_eq!(store.find_session(b"one", at(1000)).await.unwrap(), None);
        assert_eq!(store.find_session(b"none", at(0)).await.unwrap(), None);

        assert!(store.touch_session(b"one", at(900), at(5000)).await.unwrap());
        assert!(store.find_session(b"one", at(1000)).await.unwrap().is_some());
        assert_eq!(store.sessions(ada.id).await.unwrap()[0].token_hash, b"one");

        assert!(store.revoke_session(b"two").await.unwrap());
        assert_eq!(store.revoke_sessions(ada.id, Some(b"one")).await.unwrap(), 1);
        assert_eq!(store.sessions(ada.id).await.unwrap().len(), 1);
        assert_eq!(store.revoke_sessions(ada.id, None).await.unwrap(), 1);
    });
}

#[test]
fn a_new_password_ends_every_session() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let ada = store.create_person(&person("ada"), at(0)).await.unwrap();
        let bob = store.create_person(&person("bob"), at(0)).await.unwrap();
        store.put_session(&session(ada.id, b"one")).await.unwrap();
        store.put_session(&session(bob.id, b"two")).await.unwrap();
        assert!(store.set_password(ada.id, "another").await.unwrap());
        assert_eq!(store.find_session(b"one", at(0)).await.unwrap(), None);
        assert!(store.find_session(b"two", at(0)).await.unwrap().is_some());
        assert!(store.delete_person(bob.id).await.unwrap());
        assert_eq!(store.find_session(b"two", at(0)).await.unwrap(), None);
    });
}

#[test]
fn a_token_is_found_by_its_hash_until_it_expires_or_is_revoked() {
    on_both(async |fixture| {
        let store = &fixture.store;
        let new = |hash: &[u8], expires_at| NewToken {
            prefix: "wb_1234".into(),
            token_hash: hash.to_vec(),
            name: "grafana".into(),
            scope: "read".into(),
            created_by: "ada".into(),
            expires_at,
        };
        let first = store.create_token(&new(b"\x00\xff", None), at(0)).await.unwrap();
        let second = store.create_token(&new(b"two", Some(at(100))), at(0)).await.unwrap();
        assert!(matches!(store.create_token(&new(b"two", None), at(0)).await, Err(StoreError::Taken(_))));
        assert_eq!(store.find_token(b"\x00\xff", at(9999)).await.unwrap(), Some(first.clone()));
        assert_eq!(store.find_token(b"two", at(99)).await.unwrap(), Some(second.clone()));
        assert_eq!(store.find_token(b"two", at(100)).await.unwrap(), None);
        assert!(store.touch_token(first.id, at(7)).await.unwrap());
        assert_eq!(store.tokens().await.unwrap()[0].used_at, Some(at(7)));
        assert!(store.revoke_token(first.id).await.unwrap());
        assert_eq!(store.find_token(b"\x00\xff", at(0)).await.unwrap(), None);
        assert_eq!(store.tokens().await.unwrap(), [second]);
    });
}

#[test]
fn the_audit_is_read_newest_first_page_by_page() {
    on_both(async |fixture| {
        let store = &fixture.store;
        for n in 0..5 {
            let entry =
                NewAudit { who: "ada".into(), action: "login".into(), object: n.to_string(), detail: String::new() };
            store.append_audit(at(n), &entry).await.unwrap();
        }
        let first = store.audit(Page::first(2)).await.unwrap();
        assert_eq!(first.iter().map(|entry| entry.object.as_str()).collect::<Vec<_>>(), ["4", "3"]);
        assert_eq!((first[0].at, first[0].who.as_str()), (at(4), "ada"));
        let rest = store.audit(Page::after(first[1].id, 0)).await.unwrap();
        assert_eq!(rest.iter().map(|entry| entry.object.as_str()).collect::<Vec<_>>(), ["2"]);
    });
}

#[test]
fn settings_are_kept_and_replaced() {
    on_both(async |fixture| {
        let store = &fixture.store;
        assert_eq!(store.setting("theme").await.unwrap(), None);
        store.put_setting("theme", "\"dark\"").await.unwrap();
        store.put_setting("theme", "\"light\"").await.unwrap();
        assert_eq!(store.setting("theme").await.unwrap().as_deref(), Some("\"light\""));
        assert_eq!(store.load(at(0)).await.unwrap().settings, [("theme".to_owned(), "\"light\"".to_owned())]);
    });
}
