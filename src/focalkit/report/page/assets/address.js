// The sliders' state in the page's address, so that a link or a bookmark opens the page as it was left.

const address = (() => {
  const MOST_OWN = 200;
  const short = (value) => String(Number(value.toPrecision(4)));
  const given = () => new URLSearchParams(location.hash.slice(1));

  // What each section of the page says of itself, where it is not as it was opened.
  const sections = new Map(), moved = new Set();
  const show = () => {
    const parts = [...sections].filter(([name]) => moved.has(name)).flatMap(([, said]) => said());
    history.replaceState(null, "", parts.length ? `#${parts.join("&")}` : location.pathname + location.search);
  };
  const follow = (name, said, found) => {
    sections.set(name, said);
    if (found) moved.add(name);
  };

  // The address follows the hand at a distance: browsers allow some hundred changes of it in half a minute.
  let told = null;
  const later = (name) => {
    moved.add(name);
    clearTimeout(told);
    told = setTimeout(show, 200);
  };
  const clear = (name) => {
    moved.delete(name);
    clearTimeout(told);
    show();
  };

  function write(state) {
    const parts = [`gamma=${short(state.gamma)}`, `beta=${short(state.beta)}`];
    if (state.form !== "focal") parts.push(`form=${[state.form, ...state.numbers.map(short)].join(":")}`);
    for (const [what, own] of Object.entries(state.own))
      if (own.size && own.size <= MOST_OWN) parts.push(`own-${what}=${[...own].map(([k, value]) => `${k}:${short(value)}`).join(",")}`);
    return parts;
  }

  // What a hand or another page wrote there is checked: numbers in the sliders' ranges, rows that there are, forms that
  // the page offers.
  function read(K, offered) {
    const found = given(), state = { own: {} }, [form, ...numbers] = (found.get("form") || "").split(":");
    state.form = offered.includes(form) ? form : "focal";
    state.numbers = forms.CHOICES[state.form].numbers.map(([, least, most, , value], i) => {
      const asked = numbers[i] ? Number(numbers[i]) : NaN;
      return asked >= least && asked <= most ? asked : value;
    });
    for (const [what, most] of [["gamma", 5], ["beta", 1.5]]) {
      const value = found.has(what) ? Number(found.get(what)) : NaN;
      if (!(value >= 0 && value <= most)) return null;
      state[what] = value;
    }
    for (const what of ["alpha", "gamma"]) {
      const pairs = (found.get(`own-${what}`) || "").split(",").map((pair) => pair.split(":").map(Number));
      state.own[what] = new Map(pairs.filter(([k, value]) => Number.isInteger(k) && k >= 0 && k < K && value >= 0 && Number.isFinite(value)));
    }
    return state;
  }

  // A number of the address, or null where it is none that ``allowed`` accepts.
  function numeric(name, allowed) {
    const found = given(), value = found.get(name) ? Number(found.get(name)) : NaN;
    return Number.isFinite(value) && allowed(value) ? value : null;
  }

  return { read, write, follow, later, clear, numeric, given, short };
})();
