//! What people and the configuration file ask of the engine. Each command becomes part of the batch and is
//! answered after its commit; a command that cannot be done is refused at once and leaves nothing behind.

use std::sync::Arc;

use watchbell_core::decide::Event;
use watchbell_core::schedule::Grid;
use watchbell_core::{Slug, State, Timestamp};
use watchbell_store::{Change, ChannelRow, ChannelWrite, IncidentChange, MonitorRow, MonitorWrite};

use super::handle::{Command, FromFile};
use super::intake::By;
use super::start::SPREAD;
use super::timer::{self, Order};
use super::{Answer, Arrival, Channel, Engine, Fixed, Make, Monitor, Origin, Refused, Watched};
use crate::app::{Problem, Source};
use crate::config::spec::{Defaults, MonitorSpec};
use crate::live::Acknowledged;

/// So many new or changed monitors are looked at in the moment they are made; more are spread.
const AT_ONCE: usize = 50;

impl Engine {
    pub(super) fn command(&mut self, command: Command, now: Timestamp) {
        match command {
            Command::PutMonitor { slug, spec, make, reply } => {
                let done = self.put_monitor(slug, *spec, make, now);
                self.answer(reply, done);
            }
            Command::DeleteMonitor { slug, reply } => {
                let done = self.changeable(&slug).map(|monitor| {
                    self.delete_monitor(monitor, now);
                    self.unshadow(&slug, now);
                });
                self.answer(reply, done);
            }
            Command::Pause { slug, reply } => {
                let done = self.number(&slug).map(|monitor| self.pause(monitor, now));
                self.answer(reply, done);
            }
            Command::Resume { slug, reply } => {
                let done = self.number(&slug).map(|monitor| self.resume(monitor, now));
                self.answer(reply, done);
            }
            Command::Acknowledge { slug, by, note, reply } => {
                let done = self.acknowledge(&slug, by, note, now);
                self.answer(reply, done);
            }
            Command::CheckNow { slug, reply } => match self.number(&slug) {
                Ok(monitor) => self.check_now(monitor, reply),
                Err(refused) => drop(reply.send(Err(refused))),
            },
            Command::Snooze { slug, until, reply } => {
                let done = self.number(&slug).map(|monitor| {
                    self.happened(monitor, Event::Snoozed { until }, now, None);
                });
                self.answer(reply, done);
            }
            Command::PutChannel { slug, channel, make, reply } => {
                let done = self.put_channel(slug, *channel, make, now);
                self.answer(reply, done);
            }
            Command::DeleteChannel { slug, reply } => {
                let done = self.delete_channel(slug);
                self.answer(reply, done);
            }
            Command::ApplyFile { file, reply } => {
                self.apply_file(*file, now);
                self.answer(reply, Ok(()));
            }
        }
    }

    /// A refusal is said at once; everything else after the commit.
    fn answer<T: Send + 'static>(&mut self, reply: tokio::sync::oneshot::Sender<Answer<T>>, done: Answer<T>) {
        match done {
            Ok(value) => self.batch.answer(move |()| drop(reply.send(Ok(value)))),
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    fn number(&self, slug: &Slug) -> Answer<i64> {
        self.slugs.get(slug).copied().ok_or_else(|| Refused::NoMonitor(slug.to_string()))
    }

    fn changeable(&self, slug: &Slug) -> Answer<i64> {
        let monitor = self.number(slug)?;
        self.monitors[&monitor].view.fixed.origin.may_change(slug)?;
        Ok(monitor)
    }

    fn put_monitor(&mut self, slug: Slug, spec: MonitorSpec, make: Make, now: Timestamp) -> Answer<()> {
        let defaults = self.settings.load().defaults.clone();
        match make {
            Make::New if self.slugs.contains_key(&slug) => return Err(Refused::Exists(slug)),
            Make::New => {}
            Make::Change => drop(self.changeable(&slug)?),
        }
        if let Some(complaint) = spec.validate(&defaults, &|channel| self.channels.contains_key(channel)).first() {
            return Err(Refused::Invalid(format!("{}: {}", complaint.field, complaint.sentence)));
        }
        self.upsert(&slug, spec, Origin::Console, &defaults, now)
    }

    /// Makes the monitor what `spec` says, whoever says it. Nothing happens if it is that already.
    fn upsert(
        &mut self,
        slug: &Slug,
        spec: MonitorSpec,
        origin: Origin,
        defaults: &Defaults,
        now: Timestamp,
    ) -> Answer<()> {
        let known = self.slugs.get(slug).map(|id| &self.monitors[id].view);
        let (id, rev, created_at) = match (known, self.left_out.get(slug)) {
            (Some(view), _) => (view.fixed.id, view.fixed.rev + 1, view.fixed.created_at),
            (None, Some(old)) => (old.id, old.rev + 1, old.created_at),
            (None, None) => (self.next_monitor, 1, now),
        };
        let fixed = fixed(id, slug, spec, origin, rev, created_at, defaults);
        if known.is_some_and(|view| says_the_same(&view.fixed, &fixed)) {
            return Ok(());
        }
        let paused = known.is_some_and(|view| view.state.paused);
        let spec = self.seal.close_monitor(slug, &fixed.spec).map_err(|why| Refused::Invalid(why.to_string()))?;
        self.batch.monitors.push(MonitorWrite::Put(MonitorRow {
            id,
            slug: slug.clone(),
            origin: origin.into(),
            spec,
            rev,
            paused,
            created_at,
            updated_at: now,
        }));
        let fixed = Arc::new(fixed);
        match self.monitors.get_mut(&id) {
            Some(known) => {
                known.view.fixed = Arc::clone(&fixed);
                known.noted = None;
                self.happened(id, Event::Changed, now, None);
                self.batch.touch(id);
            }
            None => {
                // One that could not be read goes on with what is known of it.
                let old = self.left_out.remove(slug);
                if old.is_some() {
                    self.problems.forget(Source::Unreadable, slug);
                } else {
                    self.next_monitor += 1;
                }
                let (state, is_known) = match old.and_then(|old| old.state) {
                    Some(state) => (state, true),
                    None => (State::new(now, rev), false),
                };
                if !is_known {
                    self.batch.change(Change::new(id, slug.clone(), None, state.clone()));
                }
                let view = Watched::new(Arc::clone(&fixed), state);
                self.slugs.insert(slug.clone(), id);
                self.monitors.insert(id, Monitor::new(view));
                if is_known {
                    self.happened(id, Event::Changed, now, None);
                }
                self.batch.touch(id);
            }
        }
        if paused || fixed.spec.probe.is_none() {
            self.timer.order(Order::Forget { monitor: id });
        } else {
            let at = self.first_look(id, now);
            self.watch(id, at);
        }
        Ok(())
    }

    /// At once, unless so many come at once that they would all be asked in the same moment.
    fn first_look(&self, monitor: i64, now: Timestamp) -> Timestamp {
        if self.batch.len() < AT_ONCE {
            return now;
        }
        let interval = self.monitors.get(&monitor).map_or(SPREAD, |known| known.view.fixed.policy.interval);
        let grid = Grid::new(monitor, SPREAD.min(interval));
        grid.start(grid.next(now))
    }

    /// Has the timer look at a monitor from `at` on.
    pub(super) fn watch(&mut self, monitor: i64, at: Timestamp) {
        if let Some(known) = self.monitors.get_mut(&monitor)
            && known.view.fixed.spec.probe.is_some()
        {
            known.view.next_check = Some(at);
            known.chain += 1;
            self.timer.order(Order::Watch { fixed: Arc::clone(&known.view.fixed), at, chain: known.chain });
        }
    }

    fn delete_monitor(&mut self, monitor: i64, now: Timestamp) {
        self.happened(monitor, Event::Deleted, now, None);
        self.timer.order(Order::Forget { monitor });
        self.looker.reuse.forget(monitor);
        if let Some(known) = self.monitors.remove(&monitor) {
            let slug = known.view.fixed.slug.clone();
            self.slugs.remove(&slug);
            if !self.batch.forget_unborn(monitor) {
                self.batch.monitors.push(MonitorWrite::Delete { id: monitor });
            }
            self.batch.removed.push(slug);
        }
    }

    /// What the file says of a slug counts as soon as nobody else has it.
    fn unshadow(&mut self, slug: &Slug, now: Timestamp) {
        let Some(spec) = self.shadowed.remove(slug) else { return };
        self.problems.forget(Source::Stored, slug);
        let defaults = self.settings.load().defaults.clone();
        if let Err(refused) = self.upsert(slug, spec, Origin::File, &defaults, now) {
            tracing::error!(%slug, %refused, "a monitor could not be kept");
        }
    }

    fn pause(&mut self, monitor: i64, now: Timestamp) {
        if self.monitors[&monitor].view.state.paused {
            return;
        }
        self.happened(monitor, Event::Paused, now, None);
        self.batch.monitors.push(MonitorWrite::SetPaused { id: monitor, paused: true });
        self.timer.order(Order::Forget { monitor });
        if let Some(known) = self.monitors.get_mut(&monitor) {
            known.view.next_check = None;
            // Looks under way were asked before the pause, and do not count after it.
            known.chain += 1;
        }
    }

    fn resume(&mut self, monitor: i64, now: Timestamp) {
        if !self.monitors[&monitor].view.state.paused {
            return;
        }
        self.happened(monitor, Event::Resumed, now, None);
        self.batch.monitors.push(MonitorWrite::SetPaused { id: monitor, paused: false });
        self.watch(monitor, now);
    }

    fn acknowledge(&mut self, slug: &Slug, by: String, note: String, now: Timestamp) -> Answer<()> {
        let monitor = self.number(slug)?;
        let Some(incident) = self.monitors[&monitor].view.state.incident.clone() else {
            return Err(Refused::NoIncident(slug.clone()));
        };
        if incident.acknowledged {
            return Ok(());
        }
        self.happened(monitor, Event::Acknowledged, now, None);
        let note_given = (!note.is_empty()).then(|| note.clone());
        if let Some(change) = self.batch.last_change() {
            change.incident =
                Some(IncidentChange::Acknowledged { seq: incident.seq, by: by.clone(), note: note_given });
        }
        if let Some(known) = self.monitors.get_mut(&monitor) {
            known.view.acknowledged = Some(Arc::new(Acknowledged { by, at: now, note }));
        }
        Ok(())
    }

    fn check_now(&mut self, monitor: i64, reply: tokio::sync::oneshot::Sender<Answer<watchbell_core::Finding>>) {
        let fixed = Arc::clone(&self.monitors[&monitor].view.fixed);
        if fixed.spec.probe.is_none() {
            let sentence = format!("`{}` is a heartbeat: it calls in, there is nothing to ask.", fixed.slug);
            drop(reply.send(Err(Refused::Invalid(sentence))));
            return;
        }
        let looker = Arc::clone(&self.looker);
        tokio::spawn(async move {
            let Ok(permit) = looker.permits.acquire().await else { return };
            let asked_at = looker.clock.now();
            let finding = timer::ask(&looker, &fixed, asked_at).await;
            drop(permit);
            let arrival = Arrival::Looked {
                monitor: fixed.id,
                rev: fixed.rev,
                asked_at,
                finding: Some(finding),
                by: By::Person { reply },
            };
            looker.intake.send(arrival).await;
        });
    }

    fn put_channel(&mut self, slug: Slug, channel: Channel, make: Make, now: Timestamp) -> Answer<()> {
        match (make, self.channels.get(&slug)) {
            (Make::New, Some(_)) => return Err(Refused::Exists(slug)),
            (Make::Change, None) => return Err(Refused::NoChannel(slug.to_string())),
            (_, Some((_, origin, _))) => origin.may_change(&slug)?,
            (Make::New, None) => {}
        }
        if let Some(complaint) = channel.validate().first() {
            return Err(Refused::Invalid(format!("{}: {}", complaint.field, complaint.sentence)));
        }
        self.upsert_channel(&slug, channel, Origin::Console, now)
    }

    fn upsert_channel(&mut self, slug: &Slug, channel: Channel, origin: Origin, now: Timestamp) -> Answer<()> {
        let rev = match self.channels.get(slug) {
            Some((known, from, _)) if **known == channel && *from == origin => return Ok(()),
            Some((_, _, rev)) => rev + 1,
            None => 1,
        };
        let spec = self.seal.close_channel(slug, &channel).map_err(|why| Refused::Invalid(why.to_string()))?;
        self.batch.channels.push(ChannelWrite::Put(ChannelRow {
            slug: slug.clone(),
            origin: origin.into(),
            spec,
            rev,
            disabled: None,
            created_at: now,
            updated_at: now,
        }));
        self.channels.insert(slug.clone(), (Arc::new(channel), origin, rev));
        self.batch.channels_touched.push(slug.clone());
        Ok(())
    }

    fn delete_channel(&mut self, slug: Slug) -> Answer<()> {
        let (_, origin, _) = self.channels.get(&slug).ok_or_else(|| Refused::NoChannel(slug.to_string()))?;
        origin.may_change(&slug)?;
        self.drop_channel(slug);
        Ok(())
    }

    fn drop_channel(&mut self, slug: Slug) {
        self.channels.remove(&slug);
        self.batch.channels.push(ChannelWrite::Delete(slug.clone()));
        self.batch.channels_touched.push(slug);
    }

    /// Makes everything of origin [`Origin::File`] what the file says. What somebody made in the console under
    /// the same slug stays, and the file's line becomes a problem.
    pub(super) fn apply_file(&mut self, file: FromFile, now: Timestamp) {
        let mut problems = Vec::new();
        let mut taken = |slug: &Slug, what: &str| {
            problems.push(Problem {
                place: "configuration".into(),
                about: Some(slug.clone()),
                sentence: format!("The file names a {what} `{slug}`, but one of that slug was made in the console."),
                consequence: "The file's is left out; delete or rename the other to use it.".into(),
                since: now,
            });
        };
        let gone: Vec<Slug> = self
            .channels
            .iter()
            .filter(|(slug, (_, origin, _))| *origin == Origin::File && !file.channels.contains_key(*slug))
            .map(|(slug, _)| slug.clone())
            .collect();
        for slug in gone {
            self.drop_channel(slug);
        }
        for (slug, channel) in file.channels {
            if self.channels.get(&slug).is_some_and(|(_, origin, _)| *origin == Origin::Console) {
                taken(&slug, "channel");
            } else if let Err(refused) = self.upsert_channel(&slug, channel, Origin::File, now) {
                tracing::error!(%slug, %refused, "a channel could not be kept");
            }
        }
        let gone: Vec<i64> = self
            .monitors
            .values()
            .map(|monitor| &monitor.view.fixed)
            .filter(|fixed| fixed.origin == Origin::File && !file.monitors.contains_key(&fixed.slug))
            .map(|fixed| fixed.id)
            .collect();
        for monitor in gone {
            self.delete_monitor(monitor, now);
        }
        self.shadowed.clear();
        for (slug, spec) in file.monitors {
            let origin = self.slugs.get(&slug).map(|id| self.monitors[id].view.fixed.origin);
            if origin == Some(Origin::Console) {
                taken(&slug, "monitor");
                self.shadowed.insert(slug, spec);
            } else if let Err(refused) = self.upsert(&slug, spec, Origin::File, &file.defaults, now) {
                tracing::error!(%slug, %refused, "a monitor could not be kept");
            }
        }
        // New defaults are new settings for what was made in the console, too.
        let others: Vec<(Slug, MonitorSpec)> = self
            .monitors
            .values()
            .map(|monitor| &monitor.view.fixed)
            .filter(|fixed| fixed.origin == Origin::Console)
            .map(|fixed| (fixed.slug.clone(), fixed.spec.clone()))
            .collect();
        for (slug, spec) in others {
            if let Err(refused) = self.upsert(&slug, spec, Origin::Console, &file.defaults, now) {
                tracing::error!(%slug, %refused, "a monitor could not be kept");
            }
        }
        self.problems.replace(Source::Stored, problems);
    }
}

/// A monitor's settings made effective.
pub(super) fn fixed(
    id: i64,
    slug: &Slug,
    spec: MonitorSpec,
    origin: Origin,
    rev: u64,
    created_at: Timestamp,
    defaults: &Defaults,
) -> Fixed {
    Fixed {
        id,
        slug: slug.clone(),
        policy: spec.policy(defaults, rev),
        slow_above: spec.slow_above(defaults),
        notify: spec.channels(defaults),
        spec,
        origin,
        rev,
        created_at,
    }
}

fn says_the_same(old: &Fixed, new: &Fixed) -> bool {
    let policy = watchbell_core::Policy { rev: old.rev, ..new.policy.clone() };
    old.spec == new.spec
        && old.origin == new.origin
        && old.policy == policy
        && old.slow_above == new.slow_above
        && old.notify == new.notify
}

impl From<Origin> for watchbell_store::Origin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::File => Self::File,
            Origin::Console => Self::Console,
        }
    }
}

impl From<watchbell_store::Origin> for Origin {
    fn from(origin: watchbell_store::Origin) -> Self {
        match origin {
            watchbell_store::Origin::File => Self::File,
            watchbell_store::Origin::Console => Self::Console,
        }
    }
}
