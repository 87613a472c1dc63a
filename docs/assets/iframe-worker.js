// Lets the search work where pages are opened as files. Browsers refuse a Worker there, so its script runs in a hidden
// frame, which is given what a script finds in a worker. The theme's search asks for the name IFrameWorker.
"use strict";
(() => {
  const load = (page, address) =>
    new Promise((done, failed) => {
      const script = page.createElement("script");
      script.src = address;
      script.onload = () => done();
      script.onerror = () => failed(new Error(`${address} cannot be loaded`));
      page.body.append(script);
    });

  class FrameWorker extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const page = this.frame.contentDocument;
      const inside = this.frame.contentWindow;
      page.open();
      page.write("<!doctype html><html><body></body></html>");
      page.close();
      inside.postMessage = (message) => this.tell("message", structuredClone(message));
      inside.importScripts = (...addresses) =>
        addresses.reduce((before, each) => before.then(() => load(page, each)), Promise.resolve());
      this.ready = load(page, address).catch((error) => this.tell("error", error));
    }

    tell(kind, data) {
      const event = new MessageEvent(kind, { data });
      this.dispatchEvent(event);
      this[`on${kind}`]?.(event);
    }

    postMessage(message) {
      this.ready.then(() => {
        const data = structuredClone(message);
        this.frame.contentWindow?.dispatchEvent(new MessageEvent("message", { data }));
      });
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = FrameWorker;
  if (location.protocol === "file:") window.Worker = FrameWorker;
})();
