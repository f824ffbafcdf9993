//! Copies of a network that learn side by side, each from a part of every batch: for networks whose
//! operations are too small to be shared out among threads.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use tch::Tensor;
use tch::nn::VarStore;

use crate::optim::by_name;

/// The trainable variables of a network, in an order that is the same for all its copies.
pub(crate) fn variables(vs: &VarStore) -> Vec<Tensor> {
    by_name(vs).into_values().filter(Tensor::requires_grad).collect()
}

/// A copy on a thread of its own.
pub(crate) struct Learner<'a, B> {
    /// Its [`variables()`].
    pub(crate) variables: Vec<Tensor>,
    /// Adds the gradients of a part of a batch to the variables, and returns its share of the loss.
    pub(crate) learn: Box<dyn FnMut(&B) -> f64 + 'a>,
}

/// The copies besides the network itself.
pub(crate) struct Replicas<'scope, B> {
    workers: Vec<Worker<'scope, B>>,
}

struct Worker<'scope, B> {
    tasks: Option<SyncSender<Task<B>>>,
    results: Receiver<Found>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
}

struct Task<B> {
    weights: Vec<Tensor>,
    part: B,
}

struct Found {
    loss: f64,
    gradients: Vec<Tensor>,
}

impl<'scope, B: Send + 'scope> Replicas<'scope, B> {
    /// Starts `count` copies, each of which `make` makes on its own thread.
    pub(crate) fn start(
        scope: &'scope Scope<'scope, '_>,
        count: usize,
        make: impl Fn() -> Learner<'scope, B> + Send + Clone + 'scope,
    ) -> Self {
        let start = |_| {
            let (tasks, inbox) = sync_channel::<Task<B>>(1);
            let (outbox, results) = sync_channel(1);
            let make = make.clone();
            let thread = scope.spawn(move || {
                tch::set_num_threads(1);
                let mut learner = make();
                for Task { weights, part } in inbox {
                    let found = learner.run(&weights, &part);
                    drop(weights);
                    if outbox.send(found).is_err() {
                        return;
                    }
                }
            });
            Worker { tasks: Some(tasks), results, thread: Some(thread) }
        };
        Self { workers: (0..count).map(start).collect() }
    }

    /// Parts of a batch that are learnt at the same time.
    pub(crate) fn parts(&self) -> usize {
        self.workers.len() + 1
    }

    /// Adds the gradients of all parts to `variables`: `own` does so for one and returns its share
    /// of the loss, the copies for the `others`, at most one each. Returns the sum of all shares.
    pub(crate) fn learn(
        &mut self,
        variables: &[Tensor],
        others: Vec<B>,
        own: impl FnOnce() -> f64,
    ) -> f64 {
        let count = others.len();
        for (worker, part) in self.workers.iter_mut().zip(others) {
            let weights = variables.iter().map(Tensor::detach).collect();
            worker.send(Task { weights, part });
        }
        let mut loss = own();
        for worker in self.workers.iter_mut().take(count) {
            let found = worker.receive();
            loss += found.loss;
            tch::no_grad(|| {
                for (variable, gradient) in variables.iter().zip(&found.gradients) {
                    if gradient.defined() {
                        let _ = variable.grad().g_add_(gradient);
                    }
                }
            });
        }
        loss
    }
}

impl<B> Learner<'_, B> {
    fn run(&mut self, weights: &[Tensor], part: &B) -> Found {
        tch::no_grad(|| {
            for (variable, weight) in self.variables.iter_mut().zip(weights) {
                variable.copy_(weight);
                variable.zero_grad();
            }
        });
        let loss = (self.learn)(part);
        Found { loss, gradients: self.variables.iter().map(Tensor::grad).collect() }
    }
}

impl<B> Worker<'_, B> {
    fn send(&mut self, task: Task<B>) {
        let sent = self.tasks.as_ref().is_some_and(|tasks| tasks.send(task).is_ok());
        if !sent {
            self.fail();
        }
    }

    fn receive(&mut self) -> Found {
        match self.results.recv() {
            Ok(found) => found,
            Err(_) => self.fail(),
        }
    }

    /// Passes on what made the thread panic, which is the only reason for it to be gone.
    fn fail(&mut self) -> ! {
        self.tasks = None;
        match self.thread.take().map(ScopedJoinHandle::join) {
            Some(Err(panic)) => resume_unwind(panic),
            _ => unreachable!("a thread ends when its tasks do"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, nn};

    fn network() -> (VarStore, Tensor, Tensor) {
        let vs = VarStore::new(Device::Cpu);
        let a = vs.root().var("a", &[3], nn::Init::Const(2.0));
        let b = vs.root().var("b", &[3], nn::Init::Const(0.5));
        (vs, a, b)
    }

    fn learner<'a>() -> Learner<'a, Tensor> {
        let (vs, a, b) = network();
        Learner {
            variables: variables(&vs),
            learn: Box::new(move |part| {
                assert!(part.numel() > 0, "an empty part");
                let loss = ((&a * part - &b).square()).sum(Kind::Float);
                loss.backward();
                loss.double_value(&[])
            }),
        }
    }

    #[test]
    fn parts_come_to_what_the_whole_does() {
        let (vs, a, b) = network();
        let own = variables(&vs);
        let parts = [1.0f32, 2.0, 3.0].map(|x| Tensor::from_slice(&[x, x + 1.0, -x]));
        let loss = |part: &Tensor| ((&a * part - &b).square()).sum(Kind::Float);
        let whole = loss(&parts[0]) + loss(&parts[1]) + loss(&parts[2]);
        whole.backward();
        let wanted: Vec<Tensor> = own.iter().map(|v| v.grad().copy()).collect();
        std::thread::scope(|scope| {
            let mut replicas = Replicas::start(scope, 2, learner);
            assert_eq!(replicas.parts(), 3);
            for _ in 0..2 {
                own.iter().for_each(|v| v.shallow_clone().zero_grad());
                let others = vec![parts[1].copy(), parts[2].copy()];
                let sum = replicas.learn(&own, others, || {
                    let loss = loss(&parts[0]);
                    loss.backward();
                    loss.double_value(&[])
                });
                assert!((sum - whole.double_value(&[])).abs() < 1e-3);
                for (variable, wanted) in own.iter().zip(&wanted) {
                    assert!((variable.grad() - wanted).abs().max().double_value(&[]) < 1e-3);
                }
            }
            // Copies have the weights that the network has now.
            let _ = tch::no_grad(|| a.shallow_clone().zero_());
            own.iter().for_each(|v| v.shallow_clone().zero_grad());
            let sum = replicas.learn(&own, vec![parts[1].copy()], || {
                let loss = loss(&parts[0]);
                loss.backward();
                loss.double_value(&[])
            });
            assert!((sum - 1.5).abs() < 1e-6, "{sum}");
        });
    }

    #[test]
    #[should_panic(expected = "an empty part")]
    fn a_panic_is_passed_on() {
        let (vs, _, _) = network();
        let own = variables(&vs);
        std::thread::scope(|scope| {
            let mut replicas = Replicas::start(scope, 1, learner);
            let nothing = Tensor::zeros([0], tch::kind::FLOAT_CPU);
            replicas.learn(&own, vec![nothing], || 0.0);
        });
    }
}
