//! Many inputs: jobs side by side, results and notes in the order of the inputs, one bad file that
//! never stops the rest, and a summary.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use formant_audio_core::Warning;
use formant_audio_core::decode::BlockReader;

use crate::draft::Gathered;
use crate::escape::one_line;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::identity::{self, FileId};
use crate::inputs::{self, Entry, Input, InputList};
use crate::messages::Messages;
use crate::outputs::{Existing, Results, Target};
use crate::progress::Progress;
use crate::reading::Sources;
use crate::{interrupt, json, stdout};

/// What became of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was worked on.
    Worked,
    /// Its output was there already.
    Skipped,
}

/// One input on its way through a batch; it prints in its turn.
pub(crate) struct Lane<'a> {
    /// Place in the list.
    pub(crate) index: usize,
    /// The input's name.
    pub(crate) name: String,
    /// For warnings and notes.
    pub(crate) messages: &'a Messages,
    /// Whether JSON lines tell of what was done.
    pub(crate) json: bool,
    order: &'a Order<'a>,
    progress: &'a Progress,
}

impl Lane<'_> {
    /// Opens the input; what is read of it moves the bar.
    pub(crate) fn open(&self, sources: &Sources, input: &Input) -> Result<BlockReader, Failure> {
        let mut reader = sources.open(input)?;
        let rate = f64::from(reader.info().rate.max(1));
        let total = reader.declared_frames().map(|frames| frames as f64 / rate);
        let (from, total) = sources.part.bounds(total);
        let (progress, index) = (self.progress.clone(), self.index);
        reader.on_progress(move |frames| {
            progress.heard(index, (frames as f64 / rate - from).max(0.0), total);
        });
        Ok(reader)
    }

    /// Moves the bar of work that reads nothing: so many seconds of `total` are done.
    pub(crate) fn advanced(&self, seconds: f64, total: f64) {
        self.progress.heard(self.index, seconds, Some(total));
    }

    /// Prints a result. It appears at once when all inputs before are finished, else after them.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        self.order.print(self.index, Line::Result(text.to_owned()))
    }

    /// As [`Lane::print`], for what is told of a result that lies in a file: when nobody reads it, the
    /// work goes on.
    pub(crate) fn tell(&self, text: &str) -> Result<(), Failure> {
        self.order.print(self.index, Line::Report(text.to_owned()))
    }

    /// Says in one line what was done, in the input's turn.
    pub(crate) fn note(&self, text: &str) -> Result<(), Failure> {
        self.order.print(self.index, Line::Note(one_line(text).into()))
    }

    /// Shows what was odd about the input or its output.
    pub(crate) fn warn(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.messages.warning(&self.name, warning);
        }
    }
}

/// Where results go in the end: standard output, or a file that gathers them.
type Sink<'a> = &'a (dyn Fn(&str) -> Result<(), Failure> + Sync);

/// Keeps what is printed in the order of the inputs.
struct Order<'a> {
    messages: &'a Messages,
    sink: Sink<'a>,
    state: Mutex<Turns>,
    /// Told of every input that ends.
    ended: Condvar,
}

#[derive(Default)]
struct Turns {
    turn: usize,
    waiting: BTreeMap<usize, Vec<Line>>,
    /// Bytes that wait.
    held: usize,
    finished: BTreeSet<usize>,
}

/// Bytes that may wait for their turn before no further input is begun.
const MAX_HELD: usize = 1 << 25;

/// Inputs that may be ahead of the one whose turn it is.
const MAX_AHEAD: usize = 1 << 14;

/// How often a job that waits looks whether the work was stopped.
const LOOK: Duration = Duration::from_millis(200);

/// Something to print.
enum Line {
    /// The result itself, without which further work is in vain.
    Result(String),
    /// What is told of a result that lies in a file.
    Report(String),
    /// What goes to standard error.
    Note(String),
}

impl Line {
    fn text(&self) -> &str {
        let (Self::Result(text) | Self::Report(text) | Self::Note(text)) = self;
        text
    }
}

impl Order<'_> {
    fn state(&self) -> MutexGuard<'_, Turns> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, index: usize, line: Line) -> Result<(), Failure> {
        let mut state = self.state();
        if index == state.turn {
            return self.pass_on(&line);
        }
        state.held += line.text().len();
        state.waiting.entry(index).or_default().push(line);
        Ok(())
    }

    fn pass_on(&self, line: &Line) -> Result<(), Failure> {
        if let Line::Note(text) = line {
            self.messages.note(text);
            return Ok(());
        }
        match self.messages.aside(|| (self.sink)(line.text())) {
            Err(failure) if failure.kind == Kind::BrokenPipe && matches!(line, Line::Report(_)) => {
                Ok(())
            }
            passed => passed,
        }
    }

    fn finish(&self, index: usize) -> Result<(), Failure> {
        let mut state = self.state();
        state.finished.insert(index);
        self.ended.notify_all();
        while {
            let turn = state.turn;
            state.finished.remove(&turn)
        } {
            state.turn += 1;
            let turn = state.turn;
            let lines = state.waiting.remove(&turn).unwrap_or_default();
            state.held -= lines.iter().map(|line| line.text().len()).sum::<usize>();
            lines.iter().try_for_each(|line| self.pass_on(line))?;
        }
        Ok(())
    }

    /// Waits until the input number `index` may begin, as long as `goes_on` says so. An input whose
    /// turn it is never waits, so that the others do not wait forever.
    fn await_room(&self, index: usize, goes_on: impl Fn() -> bool) {
        let mut state = self.state();
        let is_full = |state: &Turns| {
            index > state.turn && (state.held > MAX_HELD || index - state.turn > MAX_AHEAD)
        };
        while is_full(&state) && goes_on() {
            let woken = self.ended.wait_timeout(state, LOOK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How a batch is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Inputs at the same time.
    pub(crate) jobs: usize,
    /// Whether failures are printed as JSON lines, too.
    pub(crate) json: bool,
    /// Whether `--resume` goes on where the work was stopped.
    pub(crate) resumes: bool,
}

/// What the threads share.
struct Shared<'a> {
    entries: &'a [Entry],
    options: Options,
    order: Order<'a>,
    next: AtomicUsize,
    stop: AtomicBool,
    progress: Progress,
    /// The file that gathers the results.
    place: Option<String>,
    results: Mutex<Vec<Result<Done, Kind>>>,
}

/// Works on every entry. `worker` makes what a thread needs, such as a loaded model, of which every
/// further thread gets a clone; `work` does one input.
pub(crate) fn run<W: Send + Clone>(
    list: &InputList,
    options: Options,
    messages: &Messages,
    worker: impl FnOnce() -> Result<W, Failure>,
    work: impl Fn(&mut W, &Input, &Lane<'_>) -> Result<Done, Failure> + Sync,
) -> Result<Outcome, Failure> {
    let sink = Outlet { sink: &stdout::print, place: None };
    run_into(&sink, list, options, messages, worker, work)
}

/// One place for the results of all inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) target: &'a Target,
    pub(crate) existing: Existing,
    /// Stands before the results.
    pub(crate) heading: &'a str,
}

/// As [`run`], with all results in one place; a file appears when all is done.
pub(crate) fn gather<W: Send + Clone>(
    place: Place<'_>,
    list: &InputList,
    options: Options,
    messages: &Messages,
    worker: impl FnOnce() -> Result<W, Failure>,
    work: impl Fn(&mut W, &Input, &Lane<'_>) -> Result<Done, Failure> + Sync,
) -> Result<Outcome, Failure> {
    if !place.existing.admits(place.target)? {
        messages.note("the output is there already");
        return Ok(Outcome::done());
    }
    if let Some(path) = place.target.path()
        && FileId::of(path).is_some_and(|file| identity::of_inputs(list).contains(&file))
    {
        return Err(identity::own_input(path));
    }
    let worker = worker()?;
    let gathered = Gathered::new(place.target)?;
    gathered.print(place.heading)?;
    let print = |text: &str| gathered.print(text);
    let place = place.target.path().map(|path| one_line(&path.display().to_string()).into_owned());
    let sink = Outlet { sink: &print, place };
    // The file appears when all is done, or not at all.
    let options = Options { resumes: false, ..options };
    let outcome = run_into(&sink, list, options, messages, || Ok(worker), work)?;
    if let Outcome::Worked { done: 1.., interrupted: false, .. } = outcome {
        gathered.commit()?;
    }
    Ok(outcome)
}

/// Lines that are gathered in one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gathering {
    pub(crate) existing: Existing,
    /// Stands before the lines.
    pub(crate) heading: &'static str,
    /// Whether they are JSON, failures included, as with `--json`.
    pub(crate) json: bool,
}

/// As [`gather`] where the results share one place, otherwise as [`run`].
pub(crate) fn run_to<W: Send + Clone>(
    results: &Results,
    Gathering { existing, heading, json }: Gathering,
    list: &InputList,
    options: Options,
    messages: &Messages,
    worker: impl FnOnce() -> Result<W, Failure>,
    work: impl Fn(&mut W, &Input, &Lane<'_>) -> Result<Done, Failure> + Sync,
) -> Result<Outcome, Failure> {
    match results {
        Results::Gathered(target) => {
            let place = Place { target, existing, heading };
            gather(place, list, Options { json, ..options }, messages, worker, work)
        }
        Results::Each(_) => run(list, options, messages, worker, work),
    }
}

/// Where results go, and how that is called where it is a file.
struct Outlet<'a> {
    sink: Sink<'a>,
    place: Option<String>,
}

/// As [`run`], with results going to a sink instead of standard output.
fn run_into<W: Send + Clone>(
    into: &Outlet<'_>,
    list: &InputList,
    options: Options,
    messages: &Messages,
    worker: impl FnOnce() -> Result<W, Failure>,
    work: impl Fn(&mut W, &Input, &Lane<'_>) -> Result<Done, Failure> + Sync,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    if list.passed_over > 0 {
        let plural =
            if list.passed_over == 1 { "input is an output" } else { "inputs are outputs" };
        messages.note(&format!("{} {plural} of an earlier run, passed over", list.passed_over));
    }
    if let Some(text) = list.skipped() {
        messages.note(&text);
    }
    // One clash is told by its inputs; several are easier to mend when all are seen at once.
    if list.clashes.len() > 1 {
        let clashes: Vec<_> = list.clashes.iter().map(|clash| one_line(clash)).collect();
        let clashes = clashes.join("\n  ");
        messages.note(&format!(
            "{} outputs belong to several inputs, which are left out (--keep-extension may tell them \
             apart):\n  {clashes}",
            list.clashes.len()
        ));
    }
    let entries = list.entries.as_slice();
    let count = options.jobs.clamp(1, entries.len().max(1));
    let mut first = worker()?;
    let others: Vec<W> = (1..count).map(|_| first.clone()).collect();
    let shared = Shared {
        entries,
        options,
        order: Order { messages, sink: into.sink, state: Mutex::default(), ended: Condvar::new() },
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        progress: Progress::new(entries.len(), messages),
        place: into.place.clone(),
        results: Mutex::new(Vec::with_capacity(entries.len())),
    };
    std::thread::scope(|scope| {
        for mut worker in others {
            let (shared, work) = (&shared, &work);
            scope.spawn(move || shared.serve(&mut worker, work));
        }
        shared.serve(&mut first, &work);
    });
    Ok(shared.summary())
}

impl Shared<'_> {
    /// One thread: takes inputs until there are none.
    fn serve<W>(
        &self,
        worker: &mut W,
        work: &impl Fn(&mut W, &Input, &Lane<'_>) -> Result<Done, Failure>,
    ) {
        let goes_on = || !self.stop.load(Ordering::SeqCst) && !interrupt::requested();
        while goes_on() {
            let index = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(entry) = self.entries.get(index) else { return };
            self.order.await_room(index, goes_on);
            if !goes_on() {
                // Others may wait for this turn to pass.
                let _ = self.order.finish(index);
                return;
            }
            let lane = Lane {
                index,
                name: inputs::name(entry),
                messages: self.order.messages,
                json: self.options.json,
                order: &self.order,
                progress: &self.progress,
            };
            let result = match entry {
                Ok(input) => catch_unwind(AssertUnwindSafe(|| work(worker, input, &lane)))
                    .unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)))
                    .map_err(|failure| failure.of_input(&lane.name)),
                Err((_, failure)) => Err(failure.clone()),
            };
            self.settle(result, &lane);
        }
    }

    /// Tells what became of an input and notes it.
    fn settle(&self, result: Result<Done, Failure>, lane: &Lane<'_>) {
        let told = match &result {
            Err(failure) if !matches!(failure.kind, Kind::BrokenPipe | Kind::Interrupted) => {
                lane.messages.failure(failure);
                let print = || lane.tell(&json::failure(&lane.name, failure));
                if self.options.json { print() } else { Ok(()) }
            }
            _ => Ok(()),
        };
        let result = result.and_then(|done| told.map(|()| done));
        let result = self.order.finish(lane.index).and(result).map_err(|failure| failure.kind);
        if matches!(result, Err(Kind::BrokenPipe | Kind::Interrupted)) {
            self.stop.store(true, Ordering::SeqCst);
        }
        self.progress.ended(lane.index);
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }

    fn summary(self) -> Outcome {
        let speed = self.progress.finish();
        let results = self.results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = |wanted: Done| results.iter().filter(|r| **r == Ok(wanted)).count();
        let (worked, skipped) = (count(Done::Worked), count(Done::Skipped));
        let interrupted = interrupt::requested() || results.contains(&Err(Kind::Interrupted));
        let failed: Vec<Kind> = results
            .into_iter()
            .filter_map(Result::err)
            .filter(|kind| *kind != Kind::Interrupted)
            .collect();
        let messages = self.order.messages;
        if self.entries.len() > 1 && !failed.contains(&Kind::BrokenPipe) {
            let mut text = format!("{worked} of {} done", self.entries.len());
            if skipped > 0 {
                text += &format!(", {skipped} were there already");
            }
            if !failed.is_empty() {
                text += &format!(", {} failed", failed.len());
            }
            let more = self.place.filter(|_| worked > 0).map(|place| format!(" -> {place}"));
            text += &more.unwrap_or_default();
            text += &speed.map_or_else(String::new, |speed| format!("; {speed}"));
            messages.note(&text);
        } else if skipped > 0 {
            messages.note("the output is there already");
        } else if worked > 0 {
            let text: Vec<String> =
                self.place.map(|place| format!("-> {place}")).into_iter().chain(speed).collect();
            if !text.is_empty() {
                messages.note(&text.join("; "));
            }
        }
        if interrupted {
            messages.interrupted(match self.options.resumes {
                true => "interrupted; finished outputs are kept, --resume goes on",
                false => "interrupted",
            });
        }
        Outcome::Worked { done: worked + skipped, failed, interrupted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Verbosity;

    #[test]
    fn results_keep_the_order_of_the_inputs() {
        let messages = Messages::new(Verbosity::Quiet);
        let names = ["a", "b", "c", "d", "e"];
        let input = |name: &&str| Ok(Input { path: Some(name.into()), relative: name.into() });
        let entries = names.iter().map(input).collect();
        let list = InputList { entries, ..InputList::default() };
        let printed = Mutex::new(String::new());
        let sink = |text: &str| {
            printed.lock().expect("no thread panics").push_str(text);
            Ok(())
        };
        // The first input ends last.
        let others = AtomicUsize::new(0);
        let work = |(): &mut (), input: &Input, lane: &Lane<'_>| {
            lane.print(&format!("{}1 ", input.name()))?;
            if lane.index == 0 {
                while others.load(Ordering::SeqCst) < 4 {
                    std::thread::yield_now();
                }
            }
            lane.print(&format!("{}2 ", input.name()))?;
            others.fetch_add(1, Ordering::SeqCst);
            Ok(Done::Worked)
        };
        let options = Options { jobs: 3, json: false, resumes: false };
        let sink = Outlet { sink: &sink, place: None };
        run_into(&sink, &list, options, &messages, || Ok(()), work).expect("the batch ran");
        let printed = printed.into_inner().expect("no thread panicked");
        assert_eq!(printed, "a1 a2 b1 b2 c1 c2 d1 d2 e1 e2 ");
    }

    #[test]
    fn failures_and_faults_do_not_stop_the_rest() {
        let messages = Messages::new(Verbosity::Quiet);
        let input = |name: &str| Ok(Input { path: Some(name.into()), relative: name.into() });
        let missing = Failure::new(Kind::Input, "b", "missing");
        let entries = vec![input("a"), Err(("b".to_owned(), missing)), input("c"), input("d")];
        let list = InputList { entries, ..InputList::default() };
        for jobs in [1, 3] {
            let options = Options { jobs, json: false, resumes: false };
            let outcome = run(
                &list,
                options,
                &messages,
                || Ok(()),
                |(), input, _| match input.name().as_str() {
                    "c" => Err(Failure::new(Kind::Output, "c", "exists")),
                    "d" => Ok(Done::Skipped),
                    _ => Ok(Done::Worked),
                },
            );
            let Ok(Outcome::Worked { done, mut failed, interrupted }) = outcome else {
                panic!("the batch ran");
            };
            failed.sort_by_key(|kind| *kind as u8);
            assert_eq!((done, interrupted), (2, false));
            assert_eq!(failed, [Kind::Input, Kind::Output]);
        }
    }
}
