//! A connection and the exchange over it, polled as one task.
//!
//! hyper expects a task for the connection beside the one that uses it, and wakes them in turn for
//! every chunk. Here one task polls both: a chunk costs one turn of the scheduler instead of three.

use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

/// hyper's future of a connection.
pub(super) type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// The maximum number of times that the two are polled in one turn of their task. Other tasks must
/// get their turn, and tokio renews a task's budget only then.
const MAX_POLLS: usize = 64;

/// Notes that one of the two was woken, and wakes their task unless it is polling them.
#[derive(Default)]
struct WakeFlag {
    task: Mutex<Option<Waker>>,
    polling: AtomicBool,
    woken: AtomicBool,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        if !self.polling.load(SeqCst)
            && let Some(task) = &*self.task.lock()
        {
            task.wake_by_ref();
        }
    }
}

impl WakeFlag {
    /// Sets the task to wake.
    fn set_task(&self, context: &Context<'_>) {
        let mut task = self.task.lock();
        if task
            .as_ref()
            .is_none_or(|task| !task.will_wake(context.waker()))
        {
            *task = Some(context.waker().clone());
        }
    }
}

/// Runs `work` over the connection that `driver` drives.
pub(super) async fn drive<T>(driver: &mut Driver, work: impl Future<Output = T>) -> T {
    let flag = Arc::new(WakeFlag::default());
    let waker = Waker::from(flag.clone());
    let mut work = pin!(work);
    poll_fn(|context| {
        flag.set_task(context);
        flag.polling.store(true, SeqCst);
        let mut inner = Context::from_waker(&waker);
        let mut poll_both = || {
            flag.woken.store(false, SeqCst);
            if driver.as_mut().poll(&mut inner).is_ready() {
                // Dropping it closes its channels, which `work` notices.
                *driver = Box::pin(std::future::pending());
            }
            work.as_mut().poll(&mut inner)
        };
        let mut done = poll_both();
        for _ in 1..MAX_POLLS {
            if done.is_ready() || !flag.woken.load(SeqCst) {
                break;
            }
            done = poll_both();
        }
        flag.polling.store(false, SeqCst);
        // Woken since the last poll, or more to do than one turn allows.
        if done.is_pending() && flag.woken.load(SeqCst) {
            context.waker().wake_by_ref();
        }
        done
    })
    .await
}

/// Polls an idle connection. Returns false if it has closed.
pub(super) fn is_open(driver: &mut Driver) -> bool {
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

    /// More wakes than [`MAX_POLLS`] need several turns.
    #[tokio::test(flavor = "current_thread")]
    async fn work_and_connection_can_wake_each_other() {
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

    #[tokio::test(flavor = "current_thread")]
    async fn a_closed_connection_is_dropped_at_once() {
        let (held, waiting) = tokio::sync::oneshot::channel::<()>();
        let mut connection = driver(move |_| {
            let _ = &held;
            Poll::Ready(Ok(()))
        });
        assert!(drive(&mut connection, waiting).await.is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn work_is_polled_when_another_thread_wakes_it() {
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
