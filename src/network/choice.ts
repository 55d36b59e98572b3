// Which network new pods get: the first valid configuration of the directory, else our own if we may.
import { DirectoryWatch } from '../files/directory-watch.ts';
import { bridgeNetwork, defaultNetwork, type BridgeNetwork } from './bridge/settings.ts';
import type { NetworkConfig } from './cni/conflist.ts';
import { ConfigDirectory, type Loaded } from './cni/directory.ts';
import { parseCidr } from './ip.ts';
import type { NetworkLog } from './request.ts';

/** The network that new pods get, and where it comes from. */
export type Choice =
  | { readonly driver: 'bridge'; readonly network: BridgeNetwork; readonly loaded: Loaded }
  | { readonly driver: 'plugins'; readonly config: NetworkConfig; readonly because: string; readonly loaded: Loaded }
  | { readonly driver: 'none'; readonly because: string; readonly loaded: Loaded };

/** What the choice is made from. */
export interface ChoiceConfig {
  readonly default: 'none' | 'bridge';
  readonly bridge: string;
  readonly subnet: string;
  readonly confDir: string;
  readonly hostLocalDir: string;
}

/** Chooses anew whenever the directory or the pod CIDR has changed; tells the log once per change. */
export class NetworkChoice {
  readonly #config: ChoiceConfig;
  readonly #log: NetworkLog;
  readonly #directory: ConfigDirectory;
  #podCidr = '';
  #made: { readonly loaded: Loaded; readonly podCidr: string; readonly choice: Choice } | null = null;

  constructor(config: ChoiceConfig, log: NetworkLog) {
    this.#config = config;
    this.#log = log;
    this.#directory = new ConfigDirectory(config.confDir);
  }

  /** The node's pod CIDR, or two joined by a comma; empty when none was told. */
  get podCidr(): string {
    return this.#podCidr;
  }

  /** Takes over a pod CIDR; what is none is only logged, for the kubelet's call must succeed. */
  setPodCidr(cidr: string): void {
    if (cidr.split(',').every((each) => parseCidr(each) !== null)) this.#podCidr = cidr;
    else this.#log('warn', { cidr }, 'the pod CIDR is no network and is ignored');
  }

  /** Calls back whenever the directory has changed, after the choice was made anew. `close` ends it. */
  watch(onChange: (choice: Choice) => Promise<void>): { readonly close: () => void } {
    const failed = (error: unknown): void =>
      this.#log('warn', { error }, 'changes of CNI configurations are seen later: at the next pod or status');
    const look = async (): Promise<void> => {
      const before = this.#made?.choice;
      const now = await this.current();
      watching.arm();
      if (now !== before) await onChange(now);
    };
    const watching = new DirectoryWatch({
      dirs: () => this.#directory.dirs(),
      onChange: () => void look().catch(failed),
      onError: failed,
    });
    watching.start();
    return watching;
  }

  /** The choice as of now. */
  async current(): Promise<Choice> {
    const loaded = await this.#directory.current();
    if (this.#made?.loaded !== loaded || this.#made.podCidr !== this.#podCidr) {
      this.#made = { loaded, podCidr: this.#podCidr, choice: this.#choose(loaded) };
      this.#tell(this.#made.choice);
    }
    return this.#made.choice;
  }

  /** Our own network, where the configuration allows it: whether or not it is the one in use. */
  own(): BridgeNetwork | null {
    return this.#config.default === 'bridge' ? defaultNetwork(this.#config) : null;
  }

  #choose(loaded: Loaded): Choice {
    if (loaded.config !== null) {
      const ours = bridgeNetwork(loaded.config, this.#podCidr);
      if ('network' in ours) return { driver: 'bridge', network: ours.network, loaded };
      return { driver: 'plugins', config: loaded.config, because: ours.why, loaded };
    }
    const own = this.own();
    if (own !== null) return { driver: 'bridge', network: own, loaded };
    const problems = loaded.problems.length === 0 ? '' : ` (${loaded.problems.join('; ')})`;
    const because = `no CNI configuration in ${this.#config.confDir}${problems}, and network.default is "none"`;
    return { driver: 'none', because, loaded };
  }

  #tell(choice: Choice): void {
    const { file, problems } = choice.loaded;
    for (const problem of problems) this.#log('warn', { problem }, 'a CNI configuration was passed over');
    if (choice.driver === 'bridge')
      this.#log('info', { network: choice.network.name, file }, 'network by our own bridge');
    else if (choice.driver === 'none') this.#log('warn', { because: choice.because }, 'pods have no network');
    else this.#log('info', { network: choice.config.name, file, because: choice.because }, 'network by CNI plugins');
  }
}
