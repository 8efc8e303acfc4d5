/* A photograph from the camera that this browser may use. It goes to the kernel, and nowhere else. */

const WHY_NOT = {
  NotAllowedError: "This browser was not allowed to use the camera. Allow it in the address bar, then try again.",
  NotFoundError: "There is no camera here. Bring a photograph as a file.",
  NotReadableError: "Another program is using the camera. Close it, then try again.",
};

function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}

function button(text) {
  return element("button", { type: "button", textContent: text, className: "jupyter-button widget-button" });
}

function render({ model, el }) {
  const open = button("Use the camera"), take = button("Take the photograph"), close = button("Close the camera");
  const video = element("video", { muted: true, playsInline: true });
  video.setAttribute("aria-label", "What the camera sees");
  const trouble = element("div", { className: "stylelib-error" });
  trouble.setAttribute("role", "alert");
  el.classList.add("stylelib-camera");
  el.append(open, video, take, close, trouble);

  let stream = null;
  let gone = false; // the page no longer shows this widget

  function arrange() {
    open.hidden = stream !== null;
    video.hidden = take.hidden = close.hidden = stream === null;
    trouble.hidden = trouble.textContent === "";
  }

  function shut() {
    if (stream !== null) stream.getTracks().forEach((track) => track.stop()); // its light goes out
    stream = video.srcObject = null;
    arrange();
  }

  async function start() {
    open.disabled = true;
    trouble.textContent = "";
    try {
      if (!navigator.mediaDevices) throw new Error("Browsers lend a camera to https pages and to localhost only.");
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1920 } } });
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      trouble.textContent = WHY_NOT[error.name] ?? `The camera did not start: ${error.message}`;
      shut();
    }
    open.disabled = false;
    if (gone) return shut();
    arrange();
    if (stream !== null) take.focus();
  }

  async function photograph() {
    const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const file = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
    model.send({ taken: true }, undefined, [await file.arrayBuffer()]);
    shut();
    open.focus();
  }

  open.addEventListener("click", start);
  take.addEventListener("click", photograph);
  close.addEventListener("click", () => (shut(), open.focus()));
  arrange();
  return () => {
    gone = true;
    shut();
  };
}

export default { render };
