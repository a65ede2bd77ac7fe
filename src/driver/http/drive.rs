//! A connection and the exchange over it as one task.
//!
//! hyper wants a task for the connection beside the one that uses it, and wakes them in turn for
//! every chunk. Here the one that uses it polls both: a chunk costs one turn of the scheduler
//! instead of three.

use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

/// hyper's side of a connection.
pub type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// So often the two are polled before others get their turn: tokio's budget for a task comes back
/// only then.
const TURNS: usize = 64;

/// Wakes the task, except while it polls and will see for itself.
#[derive(Default)]
struct Bell {
    task: Mutex<Option<Waker>>,
    polling: AtomicBool,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        if !self.polling.load(SeqCst)
            && let Some(task) = &*self.task.lock()
        {
            task.wake_by_ref();
        }
    }
}

impl Bell {
    fn wakes(&self, context: &Context<'_>) {
        let mut task = self.task.lock();
        if task
            .as_ref()
            .is_none_or(|task| !task.will_wake(context.waker()))
        {
            *task = Some(context.waker().clone());
        }
    }
}

/// Does `work` over the connection that `driver` keeps going.
pub async fn drive<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut work = pin!(work);
    poll_fn(|context| {
        bell.wakes(context);
        bell.polling.store(true, SeqCst);
        let mut inner = Context::from_waker(&waker);
        let mut turn = || {
            bell.rung.store(false, SeqCst);
            if driver.as_mut().poll(&mut inner).is_ready() {
                // Its ends of the channels are dropped with it: that tells the one who uses it.
                *driver = Box::pin(std::future::pending());
            }
            work.as_mut().poll(&mut inner)
        };
        let mut done = turn();
        for _ in 1..TURNS {
            if done.is_ready() || !bell.rung.load(SeqCst) {
                break;
            }
            done = turn();
        }
        bell.polling.store(false, SeqCst);
        // Rung since the last turn, or more to do than one turn may.
        if done.is_pending() && bell.rung.load(SeqCst) {
            context.waker().wake_by_ref();
        }
        done
    })
    .await
}

/// Lets an idle connection see what has happened to it; `false` when it has ended.
pub fn is_open(driver: &mut Driver) -> bool {
    driver
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Poll, ready};

    fn driver(poll: impl FnMut(&mut Context<'_>) -> Poll<hyper::Result<()>> + 'static) -> Driver {
        Box::pin(poll_fn(poll))
    }

    /// Work and connection that wake each other a thousand times come to an end, and let other
    /// tasks have their turn meanwhile.
    #[tokio::test(flavor = "current_thread")]
    async fn the_two_wake_each_other() {
        let steps = Arc::new(Mutex::new((0, None::<Waker>)));
        let seen = steps.clone();
        let mut connection = driver(move |_| {
            let mut steps = seen.lock();
            steps.0 += 1;
            steps.1.take().iter().for_each(Waker::wake_by_ref);
            Poll::Pending
        });
        let work = poll_fn(|context| {
            let mut steps = steps.lock();
            steps.1 = Some(context.waker().clone());
            context.waker().wake_by_ref();
            if steps.0 >= 1000 {
                Poll::Ready("done")
            } else {
                Poll::Pending
            }
        });
        assert_eq!(drive(&mut connection, work).await, "done");
    }

    /// A connection that has ended is dropped at once: who waits for what it held hears of it.
    #[tokio::test(flavor = "current_thread")]
    async fn what_a_closed_connection_held_is_dropped() {
        let (held, waiting) = tokio::sync::oneshot::channel::<()>();
        let mut connection = driver(move |_| {
            let _ = &held;
            Poll::Ready(Ok(()))
        });
        assert!(drive(&mut connection, waiting).await.is_err());
    }

    /// What another thread wakes is polled again.
    #[tokio::test(flavor = "current_thread")]
    async fn a_wake_from_outside_is_heard() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for number in 0..100 {
                let _ = sender.send(number);
            }
        });
        let mut connection = driver(|_| Poll::Pending);
        let mut sum = 0;
        let work = poll_fn(|context| {
            while let Some(number) = ready!(receiver.poll_recv(context)) {
                sum += number;
            }
            Poll::Ready(())
        });
        drive(&mut connection, work).await;
        assert_eq!(sum, 4950);
    }
}
