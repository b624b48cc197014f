/* A page that was closed out looks now and then whether it may come back: staff have put off the
   end of its invitation, or its learner has signed in again in another tab. */

const LOOK_EVERY = 20_000;

/** Call `back`, once, when the page opens to its visitor again. */
export function comeBack(back) {
  const look = async () => {
    if (document.hidden) return;
    const page = await fetch(location.href, { method: "HEAD" }).catch(() => null);
    if (!page?.ok || !timer) return;
    timer = clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
    back();
  };
  let timer = setInterval(look, LOOK_EVERY);
  document.addEventListener("visibilitychange", look);
}
