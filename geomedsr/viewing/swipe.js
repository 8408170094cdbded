// The before/after viewer. `begin(mark, data)` waits for the element of that id, unpacks the values of the slice that is
// shown, and puts the viewer in a shadow root over the element's picture. If anything fails, the picture stays.

function begin(mark, data) {
  let tries = 0;
  (function wait() {
    // A notebook may show one output twice.
    const hosts = [...document.querySelectorAll(`#${mark}`)].filter((host) => !host.dataset.begun);
    if (!hosts.length && tries++ < 400) setTimeout(wait, 50);
    for (const host of hosts) {
      host.dataset.begun = "true";
      unpackSlice(data, 0).then((slice) => new Viewer(host, data, slice)).catch((error) => {
        host.dataset.failed = String(error);
      });
    }
  })();
}

async function unpack(text, width, height) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = width * height;
  if (bytes.length !== 2 * count) throw new Error(`${bytes.length} bytes for ${count} pixels`);
  const codes = new Uint16Array(count);
  for (let row = 0, i = 0; row < height; row++) {
    for (let col = 0, last = 0; col < width; col++, i++) {
      last = (last + bytes[i] + 256 * bytes[count + i]) & 65535;
      codes[i] = last;
    }
  }
  return codes;
}

// For each layer, the codes of each plane of a slice.
function unpackSlice(data, number) {
  return Promise.all(data.layers.map((layer) =>
    Promise.all(layer.frames[number].map((text) => unpack(text, layer.width, layer.height)))));
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function choice(label, names, chosen, act) {
  const list = element("select", { "aria-label": label });
  names.forEach((name, i) => list.append(element("option", { value: i }, name)));
  list.value = chosen;
  list.addEventListener("change", () => act(Number(list.value)));
  return list;
}

function button(text, title, act) {
  const made = element("button", { type: "button", title, "aria-label": title }, text);
  made.addEventListener("click", act);
  return made;
}

function number(value, digits = 6) {
  return String(Number(Number(value).toPrecision(digits)));
}

class Viewer {
  constructor(host, data, slice) {
    Object.assign(this, { host, data, slice });
    this.shown = [0, 1]; // layers to the left and to the right of the handle
    this.split = 0.5;
    this.zoom = 1;
    this.centre = [0.5, 0.5]; // of the region, in parts of its width and height
    this.view = 0;
    this.frame = 0;
    this.smooth = false;
    this.brightness = 0;
    this.limits = data.limits.map((ends) => ends.slice());
    this.pictures = data.layers.map(() => null);
    this.pointers = new Map();
    const parts = this.build();
    this.paint();
    const root = host.attachShadow({ mode: "open" }); // it hides the picture, so not before all that may fail
    root.append(...parts);
    this.listen(root);
    this.draw();
    new ResizeObserver(() => this.draw()).observe(this.stage);
    host.dataset.ready = "true";
  }

  build() {
    const data = this.data;
    this.canvas = element("canvas");
    this.handle = element("div", {
      class: "handle", role: "slider", tabindex: 0, "aria-label": "swipe between left and right",
      "aria-orientation": "horizontal", "aria-valuemin": 0, "aria-valuemax": 100,
    });
    this.names = ["left", "right"].map((side) => element("div", { class: `name ${side}` }));
    this.stage = element("div", {
      class: "stage", tabindex: 0, role: "group", style: `height:${data.height}px`,
      "aria-label": `${data.about}. Arrows move the picture, + and - zoom, 0 shows all, space changes sides`,
    }, this.canvas, ...this.names, this.handle);
    this.read = element("div", { class: "read", "aria-live": "off" });
    const bar = element("div", { class: "bar" });
    this.controls(bar);
    return [element("style", {}, data.style), bar, this.stage, this.read,
      element("div", { class: "about" }, data.about)];
  }

  controls(bar) {
    const data = this.data;
    const titles = data.layers.map((layer) => layer.name);
    if (titles.length > 2) {
      this.sides = this.shown.map((layer, side) =>
        choice(side ? "right" : "left", titles, layer, (i) => { this.shown[side] = i; this.paint(); }));
      bar.append(element("label", {}, "left", this.sides[0]), element("label", {}, "right", this.sides[1]));
    }
    if (data.views.length > 1) {
      const views = choice("bands", data.views.map((v) => v.name), 0, (i) => {
        this.view = i;
        this.showLevel();
        this.paint();
      });
      bar.append(element("label", {}, "bands", views));
    }
    if (data.slices.length > 1) {
      this.slider = element("input", { type: "range", min: 0, max: data.slices.length - 1, value: 0, "aria-label": "slice" });
      this.slider.addEventListener("input", () => this.turnTo(Number(this.slider.value)));
      this.sliceName = element("span");
      bar.append(element("label", {}, "slice", this.slider, this.sliceName));
    }
    this.level = ["centre", "width"].map((what) => {
      const field = element("input", { type: "number", step: "any", "aria-label": `window ${what}` });
      field.addEventListener("change", () => this.setLevel(Number(this.level[0].value), Number(this.level[1].value)));
      return field;
    });
    this.levels = choice("window", ["own", ...data.levels.map((l) => l.name)], 0, (i) => {
      if (i > 0) this.setLevel(data.levels[i - 1].centre, data.levels[i - 1].width);
    });
    this.grey = element("span", { class: "bar", style: "padding:0" });
    if (data.levels.length) this.grey.append(element("label", {}, "window", this.levels));
    this.grey.append(element("label", {}, "centre", this.level[0]), element("label", {}, "width", this.level[1]), data.unit);
    const bright = element("input", { type: "range", min: -2, max: 2, step: 0.05, value: 0, "aria-label": "brightness" });
    bright.addEventListener("input", () => { this.brightness = Number(bright.value); this.paint(); });
    this.colour = element("label", {}, "brightness", bright);
    bar.append(this.grey, this.colour);
    const smooth = element("input", { type: "checkbox", "aria-label": "smooth pixels" });
    smooth.addEventListener("change", () => { this.smooth = smooth.checked; this.draw(); });
    bar.append(element("label", {}, smooth, "smooth"));
    bar.append(element("span", { class: "push" }, button("−", "zoom out", () => this.zoomBy(1 / 1.5)), " ",
      button("+", "zoom in", () => this.zoomBy(1.5)), " ", button("all", "show all", () => this.reset())));
    this.showLevel();
    this.showSlice();
  }

  listen(root) {
    const stage = this.stage;
    root.addEventListener("keydown", (event) => this.key(event));
    for (const kind of ["keypress", "keyup"]) root.addEventListener(kind, (event) => event.stopPropagation());
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, (event) => this.release(event));
    stage.addEventListener("pointerleave", () => { this.read.textContent = ""; });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("dblclick", () => this.reset());
    stage.addEventListener("wheel", (event) => {
      if (!root.activeElement && !event.ctrlKey) { // the page scrolls over it until it is used
        this.read.textContent = "click the picture to zoom with the wheel";
        return;
      }
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.06 : 0.002)), this.at(event));
    }, { passive: false });
  }

  // A pointer's place in the stage, in CSS pixels.
  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  press(event) {
    const kind = event.target === this.handle ? "swipe" : event.button === 2 || event.altKey ? "level" : "pan";
    this.pointers.set(event.pointerId, { kind, place: this.at(event) });
    this.stage.setPointerCapture(event.pointerId);
    (kind === "swipe" ? this.handle : this.stage).focus({ preventScroll: true });
    this.stage.classList.toggle("held", kind === "pan");
    event.preventDefault();
  }

  move(event) {
    const held = this.pointers.get(event.pointerId);
    const now = this.at(event);
    if (held) {
      const [dx, dy] = [now[0] - held.place[0], now[1] - held.place[1]];
      const other = [...this.pointers].find(([id]) => id !== event.pointerId);
      if (held.kind === "swipe") {
        this.swipeTo(now[0] / this.stage.clientWidth);
      } else if (held.kind === "level") {
        this.levelBy(dx, dy);
      } else if (other) { // two fingers
        const far = (p) => Math.hypot(p[0] - other[1].place[0], p[1] - other[1].place[1]) || 1;
        this.zoomBy(far(now) / far(held.place), now);
      } else {
        this.panBy(dx, dy);
      }
      held.place = now;
    }
    this.tell(now);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    this.stage.classList.remove("held");
  }

  key(event) {
    event.stopPropagation(); // a notebook has its own meaning for these
    const inner = event.composedPath()[0];
    if (inner !== this.stage && inner !== this.handle) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onHandle = inner === this.handle;
    const step = event.shiftKey ? 0.1 : 0.02;
    const actions = {
      ArrowLeft: () => onHandle ? this.swipeTo(this.split - step) : this.panBy(40, 0),
      ArrowRight: () => onHandle ? this.swipeTo(this.split + step) : this.panBy(-40, 0),
      ArrowUp: () => this.panBy(0, 40),
      ArrowDown: () => this.panBy(0, -40),
      Home: () => this.swipeTo(0),
      End: () => this.swipeTo(1),
      PageUp: () => this.turnTo(this.frame + 1),
      PageDown: () => this.turnTo(this.frame - 1),
      "+": () => this.zoomBy(1.25),
      "=": () => this.zoomBy(1.25),
      "-": () => this.zoomBy(0.8),
      "0": () => this.reset(),
      " ": () => this.changeSides(),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  }

  swipeTo(split) {
    this.split = clamp(split, 0, 1);
    this.draw();
  }

  changeSides() {
    this.shown.reverse();
    if (this.sides) this.sides.forEach((list, i) => { list.value = this.shown[i]; });
    this.paint();
  }

  panBy(dx, dy) {
    const [width, height] = this.size();
    this.centre = [clamp(this.centre[0] - dx / width, 0, 1), clamp(this.centre[1] - dy / height, 0, 1)];
    this.draw();
  }

  zoomBy(factor, place) {
    const before = this.zoom;
    this.zoom = clamp(this.zoom * factor, 1, 64);
    if (place) { // what is under the pointer stays there
      const dx = place[0] - this.stage.clientWidth / 2;
      const dy = place[1] - this.stage.clientHeight / 2;
      const change = 1 - this.zoom / before;
      this.panBy(dx * change, dy * change);
    }
    this.draw();
  }

  reset() {
    this.zoom = 1;
    this.centre = [0.5, 0.5];
    this.draw();
  }

  async turnTo(frame) {
    frame = clamp(frame, 0, this.data.slices.length - 1);
    if (frame === this.frame) return;
    this.frame = frame;
    this.showSlice();
    const slice = await unpackSlice(this.data, frame);
    if (this.frame === frame) { // not turned on since
      this.slice = slice;
      this.paint();
    }
  }

  // The planes that are shown: three, or one.
  planes() {
    return this.data.views[this.view].planes;
  }

  setLevel(centre, width) {
    if (!Number.isFinite(centre) || !(width > 0)) {
      this.showLevel();
      return;
    }
    for (const plane of this.planes()) this.limits[plane] = [centre - width / 2, centre + width / 2];
    this.showLevel();
    this.paint();
  }

  levelBy(dx, dy) {
    if (this.planes().length > 1) return;
    const [low, high] = this.limits[this.planes()[0]];
    const width = (high - low) * Math.exp(dx / 200);
    this.setLevel((low + high) / 2 + dy * (high - low) / 300, width);
  }

  showLevel() {
    const planes = this.planes();
    this.grey.style.display = planes.length === 1 ? "" : "none";
    this.colour.style.display = planes.length === 1 ? "none" : "";
    const [low, high] = this.limits[planes[0]];
    const [centre, width] = [(low + high) / 2, high - low];
    this.level[0].value = number(centre);
    this.level[1].value = number(width);
    const near = (a, b) => Math.abs(a - b) <= 1e-6 * width;
    const found = this.data.levels.findIndex((l) => near(l.centre, centre) && near(l.width, width));
    this.levels.value = found + 1;
  }

  showSlice() {
    if (!this.slider) return;
    this.slider.value = this.frame;
    this.sliceName.textContent = `${this.data.slices[this.frame]} of ${this.data.slices_in_all}`;
  }

  // Make the pictures of the layers anew, for other bands, limits or slices.
  paint() {
    const planes = this.planes();
    const shared = planes.map((plane) => this.table(plane, planes.length > 1, this.limits));
    this.data.layers.forEach((layer, i) => {
      if (!this.shown.includes(i)) {
        this.pictures[i] = null;
        return;
      }
      const own = layer.limits && planes.map((plane) => this.table(plane, false, layer.limits));
      const tables = own || shared;
      const picture = element("canvas", { width: layer.width, height: layer.height });
      const context = picture.getContext("2d");
      const image = context.createImageData(layer.width, layer.height);
      const sources = planes.map((plane) => this.slice[i][plane]);
      const [red, green, blue] = [0, 1, 2].map((c) => Math.min(c, planes.length - 1));
      for (let k = 0, out = 0; k < sources[0].length; k++, out += 4) {
        image.data[out] = tables[red][sources[red][k]];
        image.data[out + 1] = tables[green][sources[green][k]];
        image.data[out + 2] = tables[blue][sources[blue][k]];
        image.data[out + 3] = sources.every((codes) => codes[k] > 0) ? 255 : 0;
      }
      context.putImageData(image, 0, 0);
      this.pictures[i] = picture;
    });
    this.draw();
  }

  // The shade of each code of a plane.
  table(plane, composite, limits) {
    const { low, step } = this.data.codes[plane];
    let [black, white] = limits[plane];
    if (composite) white = black + (white - black) * 2 ** -this.brightness;
    const shades = new Uint8ClampedArray(65536);
    for (let code = 1; code < 65536; code++) {
      shades[code] = Math.round(255 * ((low + (code - 1) * step) - black) / (white - black));
    }
    return shades;
  }

  // Width and height of the whole region on the screen, in CSS pixels.
  size() {
    const [width, height] = this.data.ground;
    const fit = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    return [width * fit * this.zoom, height * fit * this.zoom];
  }

  // Its upper left corner.
  corner() {
    const [width, height] = this.size();
    return [this.stage.clientWidth / 2 - this.centre[0] * width, this.stage.clientHeight / 2 - this.centre[1] * height];
  }

  draw() {
    const [wide, tall] = [this.stage.clientWidth, this.stage.clientHeight];
    if (!wide || !tall) return; // hidden: drawn when it is shown
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(wide * ratio) || this.canvas.height !== Math.round(tall * ratio)) {
      this.canvas.width = Math.round(wide * ratio);
      this.canvas.height = Math.round(tall * ratio);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, tall);
    const edge = this.split * wide;
    this.drawLayer(context, this.shown[0], 0, edge, tall);
    this.drawLayer(context, this.shown[1], edge, wide, tall);
    this.scaleBar(context, tall);
    this.handle.style.left = `${edge}px`;
    this.handle.setAttribute("aria-valuenow", Math.round(100 * this.split));
    const titles = this.shown.map((i) => this.data.layers[i].name);
    this.handle.setAttribute("aria-valuetext", `${Math.round(100 * this.split)} % ${titles[0]}, the rest ${titles[1]}`);
    this.names.forEach((label, i) => { label.textContent = titles[i]; });
    this.names[0].style.maxWidth = `${Math.max(edge - 24, 0)}px`;
    this.names[1].style.maxWidth = `${Math.max(wide - edge - 24, 0)}px`;
    this.names[0].style.visibility = edge > 40 ? "" : "hidden";
    this.names[1].style.visibility = wide - edge > 40 ? "" : "hidden";
  }

  drawLayer(context, layer, from, to, tall) {
    if (to <= from) return;
    const [x, y] = this.corner();
    const [width, height] = this.size();
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, tall);
    context.clip();
    context.imageSmoothingEnabled = this.smooth || width < this.data.layers[layer].width; // smaller: no aliasing
    context.imageSmoothingQuality = "high";
    context.drawImage(this.pictures[layer], x, y, width, height);
    context.restore();
  }

  scaleBar(context, tall) {
    const unit = this.data.ground_unit;
    if (unit !== "m" && unit !== "mm") return;
    const perPixel = this.data.ground[0] / this.size()[0];
    const most = 140 * perPixel;
    const power = 10 ** Math.floor(Math.log10(most));
    const length = Math.max(...[1, 2, 5].map((n) => n * power).filter((n) => n <= most));
    const [words, x, y] = [this.lengthWords(length, unit), 12, tall - 12];
    for (const [style, thick] of [["rgba(0,0,0,.8)", 5], ["#fff", 2]]) {
      context.strokeStyle = style;
      context.lineWidth = thick;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + length / perPixel, y);
      context.stroke();
    }
    context.font = "12px system-ui, sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0,0,0,.8)";
    context.strokeText(words, x, y - 7);
    context.fillStyle = "#fff";
    context.fillText(words, x, y - 7);
  }

  lengthWords(length, unit) {
    if (unit === "m" && length >= 1000) return `${number(length / 1000)} km`;
    if (unit === "mm" && length >= 10) return `${number(length / 10)} cm`;
    return `${number(length)} ${unit}`;
  }

  // Say where a place of the stage lies, and the values there.
  tell(place) {
    const [x, y] = this.corner();
    const [width, height] = this.size();
    const [u, v] = [(place[0] - x) / width, (place[1] - y) / height];
    if (u < 0 || v < 0 || u >= 1 || v >= 1) {
      this.read.textContent = "";
      return;
    }
    const p = this.data.place[this.frame];
    const axes = p.length / 3;
    const world = [...Array(axes).keys()].map((i) => p[i] + u * p[axes + i] + v * p[2 * axes + i]);
    const where = world.map((n) => n.toFixed(this.data.digits)).join(", ") + (this.data.medical ? " mm (L, P, S)" : "");
    const values = this.shown.map((layer) => this.valuesAt(layer, u, v));
    this.read.textContent = `${where}   ${values.join("  |  ")} ${this.data.unit}`;
  }

  valuesAt(layer, u, v) {
    const { width, height } = this.data.layers[layer];
    const index = Math.floor(v * height) * width + Math.floor(u * width);
    return this.planes().map((plane) => {
      const code = this.slice[layer][plane][index];
      const { low, step, exact } = this.data.codes[plane];
      if (code === 0) return "no data";
      const value = low + (code - 1) * step;
      return exact ? number(value, 12) : ({ 1: "≤ ", 65535: "≥ " }[code] || "≈ ") + number(value);
    }).join(" ");
  }
}
