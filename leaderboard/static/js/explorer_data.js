/* The run explorer's tables: Parquet read over http, only the parts that are needed. */
"use strict";

(function () {
  const runcast = window.runcast;
  const SMALL = 1 << 18;
  const FOOTER = 1 << 16;
  const COLUMNS = [
    "run_id", "family_id", "status", "num_steps", "steps_per_epoch", "diverged_step",
    "final.test_accuracy", "optimizer.name", "optimizer.lr", "schedule.name", "batch_size",
    "epochs", "seed", "augmentation.name", "model.name", "dataset.name",
  ];
  const opened = new Map();

  /** Return what a site's script said under a key, through runcast.data. */
  async function said(source, key) {
    const before = runcast.data;
    let found;
    runcast.data = (name, value) => {
      if (name === key) found = value;
      if (typeof before === "function") before(name, value);
    };
    try {
      await runcast.charts.script(source);
    } finally {
      runcast.data = before;
    }
    if (found === undefined) throw new Error(`${source} does not describe ${key}`);
    return found;
  }

  /** Return a file for the Parquet reader. Ranges are asked for; a server that sends all
      is asked once, and the digest in the address keeps caches of other builds out. */
  function file(source, { bytes, sha256 }) {
    const address = `${source}?${sha256.slice(0, 12)}`;
    let whole = null;
    let ranges = bytes > SMALL ? null : false;

    async function ask(headers) {
      let response;
      try {
        response = await fetch(address, { headers });
      } catch (error) {
        throw new Error(`${source} could not be fetched (${error.message})`);
      }
      if (!response.ok) {
        throw new Error(`${source} could not be fetched: the server says ${response.status}`);
      }
      return response;
    }
    async function all(response) {
      const buffer = await (await response).arrayBuffer();
      if (buffer.byteLength === bytes) return buffer;
      throw new Error(
        `${source} has ${buffer.byteLength} bytes, expected ${bytes}: the site was built ` +
        "anew, reload the page",
      );
    }
    async function part(start, end) {
      const response = await ask({ Range: `bytes=${start}-${end - 1}` });
      if (response.status === 206) return response.arrayBuffer();
      whole = whole || all(response);
      return (await whole).slice(start, end);
    }
    return {
      byteLength: bytes,
      async slice(start, end = bytes) {
        if (ranges === false) whole = whole || all(ask({}));
        if (whole) return (await whole).slice(start, end);
        if (ranges === true) return part(start, end);
        if (ranges === null) {
          const first = part(start, end);
          ranges = first.then(() => (ranges = whole === null));
          ranges.catch(() => (ranges = null));
          return first;
        }
        await ranges;
        return this.slice(start, end);
      },
    };
  }

  /** Return a table of which parts can be read. */
  function table(Parquet, base, name, about) {
    const source = file(`${base}/${name}`, about);
    let metadata = null;
    async function footer() {
      metadata = metadata || Parquet.parquetMetadataAsync(source, { initialFetchSize: FOOTER });
      try {
        return await metadata;
      } catch (error) {
        metadata = null;
        throw error;
      }
    }
    return {
      async columns() {
        const schema = Parquet.parquetSchema(await footer());
        return schema.children.map((child) => child.element.name);
      },
      async rows(columns, filter) {
        const options = { file: source, metadata: await footer(), columns, filter };
        const { compressors } = Parquet;
        try {
          return await Parquet.parquetReadObjects({
            ...options, compressors, rowFormat: "object", usePageIndex: true,
          });
        } catch (error) {
          throw new Error(`${name} could not be read: ${error.message}`, { cause: error });
        }
      },
    };
  }

  /** Return a copy of a row in which whole numbers are numbers. */
  function plain(row) {
    const entries = Object.entries(row);
    return Object.fromEntries(
      entries.map(([name, value]) => [name, typeof value === "bigint" ? Number(value) : value]),
    );
  }

  /** Return what reads a board's runs, curves, laws and forecasts. */
  async function load(board) {
    const base = `data/${encodeURIComponent(board.name)}/explorer`;
    const description = await said(`${base}/index.js`, `explorer/${board.name}`);
    await runcast.charts.script("vendor/parquet.js");
    const Parquet = window.RuncastParquet;
    const tables = new Map(
      Object.entries(description.files).map(([name, about]) => [
        name, table(Parquet, base, name, about),
      ]),
    );
    const below = (folder) => [...tables.keys()].filter((name) => name.startsWith(folder)).sort();
    let runs = null;

    async function readRuns() {
      const parts = below("runs/").map(async (name) => {
        const has = new Set(await tables.get(name).columns());
        return tables.get(name).rows(COLUMNS.filter((column) => has.has(column)));
      });
      return (await Promise.all(parts)).flat().map(plain);
    }
    return {
      description,
      /** Return the table of runs, a few of its columns. */
      runs() {
        runs = runs || readRuns();
        runs.catch(() => (runs = null));
        return runs;
      },
      /** Return Map(run -> {steps, values}) of a signal. */
      async curves(ids, signal) {
        const filter = { $and: [{ signal: { $eq: signal } }, { run_id: { $in: ids } }] };
        const columns = ["run_id", "signal", "segment", "steps", "values"];
        const parts = below("curves/").map((name) => tables.get(name).rows(columns, filter));
        const rows = (await Promise.all(parts)).flat().map(plain);
        rows.sort((a, b) => a.segment - b.segment);
        const found = new Map();
        for (const row of rows) {
          const curve = found.get(row.run_id) || { steps: [], values: [] };
          for (const step of row.steps) curve.steps.push(Number(step));
          for (const value of row.values) curve.values.push(value);
          found.set(row.run_id, curve);
        }
        return found;
      },
      /** Return the laws of a run in a window. */
      async laws(run, until) {
        const rows = await tables.get("laws.parquet").rows(undefined, { run_id: { $eq: run } });
        return rows.map(plain).filter((row) => row.until === until);
      },
      /** Return what was said of a run, in the order of the file. */
      async forecasts(task, run) {
        const rows = await tables.get(task.file).rows(undefined, { run_id: { $eq: run } });
        return rows.map(plain);
      },
    };
  }

  /** Return `load(board)`, once a board. */
  runcast.explorerData = function (board) {
    if (!opened.has(board.name)) {
      const found = load(board);
      found.catch(() => opened.delete(board.name));
      opened.set(board.name, found);
    }
    return opened.get(board.name);
  };
})();
